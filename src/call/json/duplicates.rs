//! Finds keys that one object holds twice, without comparing every pair, and knows those that some readers confuse.

use super::Member;

/// Up to here comparing every pair is cheaper than sorting.
const FEW: usize = 12;

/// The positions of members whose key occurred earlier in the same object, ascending.
/// Keys are compared decoded: `"\u0061"` repeats `"a"`. Takes `O(n log n)` comparisons.
pub fn duplicates(members: &[Member<'_>]) -> Vec<usize> {
    if members.len() <= FEW {
        return (1..members.len()).filter(|&at| members[..at].iter().any(|m| m.key == members[at].key)).collect();
    }
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_unstable_by(|&a, &b| members[a].key.cmp(&members[b].key).then(a.cmp(&b)));
    let mut repeated: Vec<usize> =
        order.windows(2).filter(|pair| members[pair[0]].key == members[pair[1]].key).map(|pair| pair[1]).collect();
    repeated.sort_unstable();
    repeated
}

/// Whether a reader without regard to case takes one key for the other, as Go's `encoding/json` does: next to upper and
/// lower case it takes the long s for an s and the Kelvin sign for a k.
pub fn alike(key: &str, other: &str) -> bool {
    if key.is_ascii() && other.is_ascii() {
        return key.eq_ignore_ascii_case(other);
    }
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        c => c.to_lowercase().next().unwrap_or(c),
    };
    key.chars().map(fold).eq(other.chars().map(fold))
}
