//! A disk that fails as it is told, and of which is known what a power cut at any moment would leave: `disk.c`, built
//! and put before a process, and its journal.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// One change or sync of a file in the folder, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Write {
        name: String,
        at: usize,
        bytes: Vec<u8>,
    },
    /// To this length.
    Truncate {
        name: String,
        to: usize,
    },
    Sync {
        name: String,
    },
    /// A sync that failed: what was written before is no longer written by a later one.
    Lost {
        name: String,
    },
    Create {
        name: String,
    },
    Rename {
        from: String,
        to: String,
    },
    Unlink {
        name: String,
    },
    /// The folder itself: the names in it.
    SyncFolder,
}

/// What fails, each with its errno; 0: nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Failing {
    pub(crate) write: i32,
    /// Only a write that makes a file longer.
    pub(crate) growth: i32,
    pub(crate) sync: i32,
    /// Opening for writing.
    pub(crate) open: i32,
}

/// `ENOSPC`.
pub(crate) const NO_SPACE: i32 = 28;
/// `EIO`.
pub(crate) const BROKEN: i32 = 5;
/// `EROFS`.
pub(crate) const READ_ONLY: i32 = 30;

/// The disk below one folder.
pub(crate) struct Disk {
    folder: PathBuf,
    only: Option<String>,
    files: TempDir,
}

fn library() -> &'static Path {
    static BUILT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("disk.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/disk.c");
        let mut cc = Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".to_owned()));
        let cc = cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).output().expect("a C compiler");
        assert!(cc.status.success(), "{cc:?}");
        (folder, library)
    });
    &built.1
}

impl Disk {
    /// Below this folder, which must be there.
    pub(crate) fn below(folder: &Path) -> Self {
        Self::failing_only(folder, None)
    }

    /// As [`Disk::below`]; where a file is named, only that ever fails.
    pub(crate) fn failing_only(folder: &Path, only: Option<&str>) -> Self {
        let (folder, only) = (folder.canonicalize().unwrap(), only.map(str::to_owned));
        let disk = Self { folder, only, files: tempfile::tempdir().unwrap() };
        std::fs::write(disk.journal_file(), "").unwrap();
        // The last one is the process's own to count in.
        std::fs::write(disk.control_file(), [0; 20]).unwrap();
        disk
    }

    fn control_file(&self) -> PathBuf {
        self.files.path().join("control")
    }

    /// How many syncs have failed.
    pub(crate) fn failed_syncs(&self) -> u32 {
        u32::from_ne_bytes(std::fs::read(self.control_file()).unwrap()[16..].try_into().unwrap())
    }

    fn journal_file(&self) -> PathBuf {
        self.files.path().join("journal")
    }

    /// What puts it before a process.
    pub(crate) fn env(&self) -> Vec<(&'static str, String)> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let mut env = vec![
            ("LD_PRELOAD", text(library())),
            ("DISK_FOLDER", text(&self.folder)),
            ("DISK_JOURNAL", text(&self.journal_file())),
            ("DISK_CONTROL", text(&self.control_file())),
        ];
        env.extend(self.only.clone().map(|only| ("DISK_ONLY", only)));
        env
    }

    /// From now on this fails, and nothing else.
    pub(crate) fn fail(&self, failing: Failing) {
        // Over what is there: the process has it mapped.
        let mut file = std::fs::File::options().write(true).open(self.control_file()).unwrap();
        let numbers = [failing.write, failing.growth, failing.sync, failing.open];
        file.write_all(&numbers.map(i32::to_ne_bytes).concat()).unwrap();
    }

    /// How much the journal holds by now, in bytes: a moment that a cut can be named by.
    pub(crate) fn now(&self) -> u64 {
        std::fs::metadata(self.journal_file()).unwrap().len()
    }

    /// Everything so far, each with the moment at which it had happened.
    pub(crate) fn journal(&self) -> Vec<(u64, Op)> {
        let bytes = std::fs::read(self.journal_file()).unwrap();
        let number = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
        let short = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let (mut at, mut ops) = (0, Vec::new());
        while at < bytes.len() {
            let (kind, offset) = (short(at), number(at + 8));
            let (name_ends, ends) = (at + 24 + short(at + 4), at + 24 + short(at + 4) + number(at + 16));
            let name = String::from_utf8(bytes[at + 24..name_ends].to_vec()).unwrap();
            let data = bytes[name_ends..ends].to_vec();
            let op = match kind {
                1 => Op::Write { name, at: offset, bytes: data },
                2 => Op::Truncate { name, to: offset },
                3 => Op::Sync { name },
                4 => Op::Lost { name },
                5 => Op::Create { name },
                6 => Op::Rename { from: name, to: String::from_utf8(data).unwrap() },
                7 => Op::Unlink { name },
                8 => Op::SyncFolder,
                _ => panic!("the journal has a record {kind}"),
            };
            at = ends;
            ops.push((at as u64, op));
        }
        ops
    }
}

/// What is on the disk, and what only the system's memory has.
#[derive(Clone, Debug, Default)]
struct File {
    durable: Vec<u8>,
    /// Not synced; with what a failed sync has given up.
    pending: Vec<(Op, bool)>,
}

/// A change of names that is not synced.
#[derive(Clone, Debug)]
enum Naming {
    Is(String, usize),
    Gone(String),
}

/// The disk as it would be found after a power cut behind these operations. `before` is what the folder held first.
/// `keep` is asked for each piece of 512 bytes, or change of names, that was not synced, whether the cut spared it.
pub(crate) fn after_power_cut<'a>(
    before: &BTreeMap<String, Vec<u8>>,
    ops: impl Iterator<Item = &'a Op>,
    mut keep: impl FnMut() -> bool,
) -> BTreeMap<String, Vec<u8>> {
    let mut files: Vec<File> = Vec::new();
    let (mut names, mut synced) = (BTreeMap::new(), BTreeMap::new());
    let mut namings = Vec::new();
    for (name, content) in before {
        names.insert(name.clone(), files.len());
        synced.insert(name.clone(), files.len());
        files.push(File { durable: content.clone(), pending: vec![] });
    }
    for op in ops {
        match op {
            Op::Create { name } => {
                names.insert(name.clone(), files.len());
                namings.push(Naming::Is(name.clone(), files.len()));
                files.push(File::default());
            }
            Op::Rename { from, to } => {
                let Some(file) = names.remove(from) else { continue };
                names.insert(to.clone(), file);
                namings.extend([Naming::Is(to.clone(), file), Naming::Gone(from.clone())]);
            }
            Op::Unlink { name } => {
                names.remove(name);
                namings.push(Naming::Gone(name.clone()));
            }
            Op::SyncFolder => namings.drain(..).for_each(|naming| name_it(&mut synced, naming)),
            Op::Write { name, .. } | Op::Truncate { name, .. } => {
                files[names[name]].pending.push((op.clone(), false));
            }
            Op::Sync { name } => {
                let file = &mut files[names[name]];
                let pending = std::mem::take(&mut file.pending);
                for (op, lost) in pending {
                    if !lost || keep() {
                        apply(&mut file.durable, &op, &mut || true);
                    }
                }
            }
            Op::Lost { name } if name.is_empty() => {}
            Op::Lost { name } => files[names[name]].pending.iter_mut().for_each(|(_, lost)| *lost = true),
        }
    }
    // File systems keep the order of names: what comes after one that is lost is lost as well.
    for naming in namings {
        if !keep() {
            break;
        }
        name_it(&mut synced, naming);
    }
    let mut left = BTreeMap::new();
    for (name, file) in synced {
        let File { mut durable, pending } = files[file].clone();
        for (op, _) in &pending {
            apply(&mut durable, op, &mut keep);
        }
        left.insert(name, durable);
    }
    left
}

fn name_it(names: &mut BTreeMap<String, usize>, naming: Naming) {
    match naming {
        Naming::Is(name, file) => {
            names.insert(name, file);
        }
        Naming::Gone(name) => {
            names.remove(&name);
        }
    }
}

/// Does to `content` what of `op` the cut spared, sector by sector.
fn apply(content: &mut Vec<u8>, op: &Op, keep: &mut impl FnMut() -> bool) {
    const SECTOR: usize = 512;
    match op {
        Op::Truncate { to, .. } if keep() => content.resize(*to, 0),
        Op::Write { at, bytes, .. } => {
            let mut from = 0;
            while from < bytes.len() {
                // Sectors lie at fixed places of the file, not of the write.
                let until = (SECTOR - (at + from) % SECTOR + from).min(bytes.len());
                if keep() {
                    content.resize(content.len().max(at + until), 0);
                    content[at + from..at + until].copy_from_slice(&bytes[from..until]);
                }
                from = until;
            }
        }
        _ => {}
    }
}

#[test]
fn a_power_cut_leaves_what_was_synced_and_of_the_rest_what_it_spares() {
    let write = |at: usize, text: &str| Op::Write { name: "a".into(), at, bytes: text.into() };
    let sync = || Op::Sync { name: "a".into() };
    let ops = [
        Op::Create { name: "a".into() },
        write(0, "one"),
        sync(),
        Op::SyncFolder,
        write(0, "TWO"),
        Op::Lost { name: "a".into() },
        write(3, "three"),
        sync(),
        write(510, "four"),
        Op::Create { name: "b".into() },
    ];
    let left = |ops: &[Op], keep: &dyn Fn() -> bool| after_power_cut(&BTreeMap::new(), ops.iter(), keep);
    assert_eq!(left(&ops[..3], &|| false), BTreeMap::new(), "its name was not synced");
    assert_eq!(left(&ops[..5], &|| false)["a"], b"one");
    assert_eq!(left(&ops[..5], &|| true)["a"], b"TWO");
    assert_eq!(left(&ops, &|| false)["a"], b"onethree", "what a failed sync gave up a later one does not bring");
    let all = left(&ops, &|| true);
    assert_eq!((all["a"].len(), all["b"].len()), (514, 0));
    // Four bytes across the edge of two sectors, of which the second is spared.
    let flip = std::cell::Cell::new(false);
    let torn = [Op::Create { name: "a".into() }, Op::SyncFolder, write(510, "four")];
    assert_eq!(left(&torn, &|| flip.replace(!flip.get()))["a"][510..], *b"\0\0ur");
}
