//! The tree against the vectors of Certificate Transparency, against the crate `ct-merkle`, and against itself.

use std::convert::Infallible;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof as TheirConsistency, InclusionProof as TheirInclusion};
use proptest::prelude::*;
use sha2::Sha256;

use super::SealedEntry;
use super::tree::{ConsistencyProof, Frontier, InclusionProof, empty_root, node};
use crate::call::Digest;

/// A tree kept whole, to ask for any complete subtree.
struct Whole {
    bodies: Vec<Vec<u8>>,
    leaves: Vec<Digest>,
}

impl Whole {
    fn of(bodies: Vec<Vec<u8>>) -> Self {
        let leaves = bodies.iter().map(|body| SealedEntry::leaf_of(body)).collect();
        Self { bodies, leaves }
    }

    fn numbered(size: u64) -> Self {
        Self::of((0..size).map(|n| n.to_string().into_bytes()).collect())
    }

    fn subtree(&self, level: u32, index: u64) -> Result<Digest, Infallible> {
        if level == 0 {
            return Ok(self.leaves[index as usize]);
        }
        Ok(node(&self.subtree(level - 1, 2 * index)?, &self.subtree(level - 1, 2 * index + 1)?))
    }

    /// The root straight from the definition in RFC 6962, section 2.1.
    fn root(&self, size: usize) -> Digest {
        fn of(leaves: &[Digest]) -> Digest {
            match leaves {
                [] => empty_root(),
                [leaf] => *leaf,
                _ => {
                    let k = leaves.len().next_power_of_two() / 2;
                    node(&of(&leaves[..k]), &of(&leaves[k..]))
                }
            }
        }
        of(&self.leaves[..size])
    }

    fn inclusion(&self, index: u64, size: u64) -> InclusionProof {
        InclusionProof::build(index, size, |l, i| self.subtree(l, i)).unwrap().unwrap()
    }

    fn consistency(&self, from: u64, to: u64) -> ConsistencyProof {
        ConsistencyProof::build(from, to, |l, i| self.subtree(l, i)).unwrap().unwrap()
    }

    fn theirs(&self, size: usize) -> MemoryBackedTree<Sha256, Vec<u8>> {
        let mut tree = MemoryBackedTree::new();
        self.bodies[..size].iter().for_each(|body| tree.push(body.clone()));
        tree
    }
}

fn concat(path: &[Digest]) -> Vec<u8> {
    path.iter().flat_map(|digest| digest.0).collect()
}

#[test]
fn the_roots_are_those_of_certificate_transparency() {
    let leaves: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut frontier = Frontier::new();
    assert_eq!(frontier.root().to_string(), roots[0]);
    for (leaf, root) in leaves.iter().zip(&roots[1..]) {
        frontier.push(SealedEntry::leaf_of(leaf));
        assert_eq!(frontier.root().to_string(), *root, "size {}", frontier.size());
    }
    // The proof of the first leaf in eight, from the same set of vectors.
    let whole = Whole::of(leaves.iter().map(|leaf| leaf.to_vec()).collect());
    let path: Vec<_> = whole.inclusion(0, 8).path.iter().map(ToString::to_string).collect();
    assert_eq!(
        path,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ]
    );
}

#[test]
fn every_proof_of_a_small_tree_is_that_of_the_other_implementation() {
    let whole = Whole::numbered(40);
    for size in 1..=40_u64 {
        let theirs = whole.theirs(size as usize);
        let root = whole.root(size as usize);
        assert_eq!(theirs.root().as_bytes()[..], root.0);
        for index in 0..size {
            let proof = whole.inclusion(index, size);
            assert_eq!(theirs.prove_inclusion(index as usize).as_bytes(), concat(&proof.path));
            assert!(proof.verify(&whole.leaves[index as usize], &root));
        }
        for from in 1..=size {
            let proof = whole.consistency(from, size);
            assert_eq!(theirs.prove_consistency((size - from) as usize).as_bytes(), concat(&proof.path));
            assert!(proof.verify(&whole.root(from as usize), &root));
        }
    }
}

#[test]
fn completed_subtrees_are_told_once_and_rightly() {
    let whole = Whole::numbered(300);
    let (mut frontier, mut told) = (Frontier::new(), Vec::new());
    for leaf in &whole.leaves {
        frontier.push_noting(*leaf, |level, index, hash| told.push((level, index, *hash)));
    }
    let expected: usize = (0..9).map(|level| 300 >> level).sum();
    assert_eq!(told.len(), expected);
    for (level, index, hash) in told {
        assert_eq!(Ok(hash), whole.subtree(level, index), "level {level}, index {index}");
    }
    let peaks = Frontier::subtrees(300).into_iter().map(|(level, index)| whole.subtree(level, index).unwrap());
    assert_eq!(Frontier::of(300, peaks.collect()), Some(frontier));
}

#[test]
fn a_frontier_of_the_wrong_shape_is_none() {
    let hash = empty_root();
    assert_eq!(Frontier::of(0, vec![]), Some(Frontier::new()));
    assert_eq!(Frontier::of(0, vec![hash]), None);
    assert_eq!(Frontier::of(3, vec![hash]), None);
    assert_eq!(Frontier::of(u64::MAX, vec![hash; 64]), None);
    assert!(Frontier::of(i64::MAX as u64, vec![hash; 63]).is_some());
}

#[test]
fn there_is_no_proof_of_what_is_not_there() {
    let whole = Whole::numbered(3);
    let of = |level, index| whole.subtree(level, index);
    assert_eq!(InclusionProof::build(3, 3, of), Ok(None));
    assert_eq!(InclusionProof::build(0, 0, of), Ok(None));
    assert_eq!(ConsistencyProof::build(4, 3, of), Ok(None));
    let broken = |_, _| Err("the disk is gone");
    assert_eq!(InclusionProof::build(0, 3, broken), Err("the disk is gone"));
    assert_eq!(ConsistencyProof::build(1, 3, broken), Err("the disk is gone"));
}

#[test]
fn the_edges_of_consistency() {
    let whole = Whole::numbered(5);
    let (empty, root) = (empty_root(), whole.root(5));
    assert!(whole.consistency(0, 5).verify(&empty, &root));
    assert!(!whole.consistency(0, 5).verify(&root, &root), "there is one empty tree");
    assert!(whole.consistency(5, 5).verify(&root, &root));
    assert!(!whole.consistency(5, 5).verify(&empty, &root));
    assert!(!ConsistencyProof { from: 5, to: 5, path: vec![root] }.verify(&root, &root));
    assert!(!ConsistencyProof { from: 0, to: 5, path: vec![root] }.verify(&empty, &root));
    assert!(!ConsistencyProof { from: 6, to: 5, path: vec![] }.verify(&root, &root));
    assert!(!ConsistencyProof { from: 3, to: 5, path: vec![] }.verify(&whole.root(3), &root));
}

#[test]
fn hostile_proofs_are_refused_without_a_panic() {
    let hash = empty_root();
    for size in [0, 1, 2, u64::MAX - 1, u64::MAX] {
        for index in [0, 1, u64::MAX - 1, u64::MAX] {
            for length in [0, 1, 63, 64, 65, 200] {
                let path = vec![hash; length];
                let inclusion = InclusionProof { index, size, path: path.clone() };
                assert_eq!(inclusion.verify(&hash, &hash), size == 1 && index == 0 && length == 0);
                let consistency = ConsistencyProof { from: index, to: size, path };
                assert_eq!(
                    consistency.verify(&hash, &hash),
                    index <= size && length == 0 && (index == size || index == 0)
                );
            }
        }
    }
}

fn bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn proofs_hold_and_nothing_else_does(bodies in bodies(), a in any::<u64>(), b in any::<u64>(), flip in any::<u64>()) {
        let whole = Whole::of(bodies);
        let size = whole.leaves.len() as u64;
        let (index, from) = (a % size, 1 + b % size);
        let (root, old) = (whole.root(size as usize), whole.root(from as usize));
        let mut frontier = Frontier::new();
        whole.leaves.iter().for_each(|leaf| frontier.push(*leaf));
        prop_assert_eq!(frontier.root(), root);

        let theirs = whole.theirs(size as usize);
        let inclusion = whole.inclusion(index, size);
        let consistency = whole.consistency(from, size);
        let leaf = whole.leaves[index as usize];
        prop_assert!(inclusion.verify(&leaf, &root));
        prop_assert!(consistency.verify(&old, &root));
        let theirs_of = TheirInclusion::try_from_bytes(concat(&inclusion.path)).unwrap();
        prop_assert!(theirs.root().verify_inclusion(&whole.bodies[index as usize], index, &theirs_of).is_ok());
        let theirs_of = TheirConsistency::try_from_bytes(concat(&consistency.path)).unwrap();
        prop_assert!(theirs.root().verify_consistency(&whole.theirs(from as usize).root(), &theirs_of).is_ok());

        let other = SealedEntry::leaf_of(b"another body, surely not among them: it is too long for that");
        prop_assert!(!inclusion.verify(&other, &root));
        prop_assert!(!inclusion.verify(&leaf, &other));
        prop_assert!(!consistency.verify(&other, &root));
        prop_assert!(!consistency.verify(&old, &other));
        for path_len in 0..inclusion.path.len() {
            let short = InclusionProof { path: inclusion.path[..path_len].to_vec(), ..inclusion.clone() };
            prop_assert!(!short.verify(&leaf, &root));
        }
        let mut longer = inclusion.clone();
        longer.path.push(other);
        prop_assert!(!longer.verify(&leaf, &root));
        if !inclusion.path.is_empty() {
            let mut flipped = inclusion.clone();
            let at = flip as usize % flipped.path.len();
            flipped.path[at].0[flip as usize % 32] ^= 1;
            prop_assert!(!flipped.verify(&leaf, &root));
            let elsewhere = InclusionProof { index: (index + 1) % size, ..inclusion };
            prop_assert!(whole.leaves[elsewhere.index as usize] == leaf || !elsewhere.verify(&leaf, &root));
        }
        if !consistency.path.is_empty() {
            let mut flipped = consistency.clone();
            let at = flip as usize % flipped.path.len();
            flipped.path[at].0[flip as usize % 32] ^= 1;
            prop_assert!(!flipped.verify(&old, &root));
            let mut longer = consistency.clone();
            longer.path.push(other);
            prop_assert!(!longer.verify(&old, &root));
        }
    }
}

#[test]
fn the_hash_of_a_node_is_set_apart_from_that_of_a_leaf() {
    let (left, right) = (SealedEntry::leaf_of(b"l"), SealedEntry::leaf_of(b"r"));
    let both = [left.0, right.0].concat();
    assert_ne!(node(&left, &right), SealedEntry::leaf_of(&both));
    assert_ne!(node(&left, &right), node(&right, &left));
}
