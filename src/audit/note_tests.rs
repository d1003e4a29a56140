//! Notes and checkpoints against the vectors of Go's `sumdb/note` and of the specifications, and against bad input.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::note::{self, NoteError, SigningKey, VerifyingKey};
use super::{Checkpoint, CheckpointError};
use crate::call::Digest;

const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETERS_SECRET: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const PETERS_LINE: &str =
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ORIGIN: &str = "placet.log/0190b1a4-0000-7000-8000-000000000001";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(ORIGIN, &[seed; 32]).unwrap()
}

fn malformed(note: &str) -> bool {
    matches!(note::open(note, &[VerifyingKey::parse(PETER).unwrap()]), Err(NoteError::Malformed(_)))
}

#[test]
fn the_note_of_the_reference_implementation_opens_and_is_made_again_byte_for_byte() {
    let note = format!("{TEXT}\n{PETERS_LINE}");
    let peter = VerifyingKey::parse(PETER).unwrap();
    let opened = note::open(&note, std::slice::from_ref(&peter)).unwrap();
    assert_eq!((opened.text.as_str(), opened.by), (TEXT, vec![peter.clone()]));
    let secret = SigningKey::parse(PETERS_SECRET).unwrap();
    assert_eq!(secret.verifying_key(), peter);
    assert_eq!((peter.to_string(), peter.name(), peter.id()), (PETER.into(), "PeterNeumann", "c74f20a3".into()));
    assert_eq!(secret.to_secret_line(), PETERS_SECRET);
    assert_eq!(secret.sign(TEXT).unwrap(), note);
    assert_eq!(format!("{secret:?}"), format!("SigningKey({PETER})"));
}

#[test]
fn the_note_of_the_specifications_elixir_library_opens() {
    let vkey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    let note = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    assert!(note::open(note, &[VerifyingKey::parse(vkey).unwrap()]).is_ok());
}

#[test]
fn several_keys_sign_one_note_and_strangers_are_ignored() {
    let (old, new, stranger) = (key(1), key(2), SigningKey::from_seed("elsewhere.example", &[3; 32]).unwrap());
    let (old_v, new_v) = (old.verifying_key(), new.verifying_key());
    let note = note::sign("x\n\ny\n", &[&old, &stranger, &new]).unwrap();
    let opened = note::open(&note, &[new_v.clone(), old_v.clone()]).unwrap();
    assert_eq!((opened.text.as_str(), opened.by), ("x\n\ny\n", vec![old_v.clone(), new_v.clone()]));
    assert_eq!(note::open(&note, std::slice::from_ref(&new_v)).unwrap().by, vec![new_v]);
    let other = key(9).verifying_key();
    assert_eq!(
        note::open(&note, &[other]).unwrap_err(),
        NoteError::Unknown(format!("{ORIGIN}, elsewhere.example, {ORIGIN}"))
    );
    assert!(matches!(note::open(&note, &[]), Err(NoteError::Unknown(_))));
    // Sixteen signatures are room enough for anybody; a hundred and one are not read.
    let many: Vec<_> = (0..101).map(key).collect();
    let many: Vec<_> = many.iter().collect();
    assert!(note::open(note::sign("x\n", &many[..16]).unwrap(), &[key(15).verifying_key()]).is_ok());
    assert!(note::sign("x\n", &many).is_err());
}

#[test]
fn one_known_signature_that_does_not_fit_refuses_the_note() {
    let (old, new) = (key(1), key(2));
    let keys = [old.verifying_key(), new.verifying_key()];
    let note = note::sign("one\n", &[&old, &new]).unwrap();
    assert!(matches!(note::open(note.replacen("one", "two", 1), &keys), Err(NoteError::BadSignature(_))));
    let other = new.sign("two\n").unwrap();
    let mixed = format!("{}{}", old.sign("one\n").unwrap(), other.split_once("\n\n").unwrap().1);
    assert!(matches!(note::open(&mixed, &keys), Err(NoteError::BadSignature(_))));
    assert!(note::open(&mixed, &keys[..1]).is_ok(), "to who does not know the second key it is a stranger's");
    // The same key twice: once is enough where both fit, and a second one that does not fit is not overlooked.
    let line = note.lines().nth(2).unwrap();
    assert_eq!(note::open(format!("one\n\n{line}\n{line}\n"), &keys).unwrap().by.len(), 1);
    let wrong = old.sign("two\n").unwrap();
    let wrong = wrong.lines().nth(2).unwrap();
    assert!(matches!(note::open(format!("one\n\n{line}\n{wrong}\n"), &keys), Err(NoteError::BadSignature(_))));
    // A signature cut short, under a known key's name and id.
    let encoded = line.rsplit_once(' ').unwrap().1;
    let cut = STANDARD.encode(&STANDARD.decode(encoded).unwrap()[..30]);
    assert!(matches!(note::open(format!("one\n\n— {ORIGIN} {cut}\n"), &keys), Err(NoteError::BadSignature(_))));
}

#[test]
fn what_is_no_note_is_refused() {
    let good = format!("{TEXT}\n{PETERS_LINE}");
    let signature = PETERS_LINE.trim_end().rsplit_once(' ').unwrap().1;
    let bad = [
        String::new(),
        "\n".into(),
        "\n\n".into(),
        TEXT.into(),
        PETERS_LINE.into(),
        format!("{TEXT}\n"),
        format!("{TEXT}{PETERS_LINE}"),
        good.trim_end().to_owned(),
        format!("{good}\n"),
        good.replace('\n', "\r\n"),
        format!("{good}\r\n"),
        good.replacen("If", "I\tf", 1),
        good.replacen("If", "I\0f", 1),
        good.replace("— ", "- "),
        good.replace("— ", "—\u{a0}"),
        good.replace("— ", "—  "),
        format!("{TEXT}\n— PeterNeumann\n"),
        format!("{TEXT}\n— PeterNeumann \n"),
        format!("{TEXT}\n— Peter Neumann {signature}\n"),
        format!("{TEXT}\n— Peter+Neumann {signature}\n"),
        format!("{TEXT}\n— {signature}\n"),
        format!("{TEXT}\n— PeterNeumann {signature} \n"),
        format!("{TEXT}\n— PeterNeumann {}\n", signature.trim_end_matches('=')),
        format!("{TEXT}\n— PeterNeumann {signature}=\n"),
        format!("{TEXT}\n— PeterNeumann {}\n", signature.replace('/', "_")),
        format!("{TEXT}\n— PeterNeumann {}\n", signature.replace("AM=", "AN=")),
        format!("{TEXT}\n— PeterNeumann x08gow==\n"),
        format!("{TEXT}\n— PeterNeumann x08g\n"),
        format!("{TEXT}\n{}", PETERS_LINE.repeat(101)),
        format!("{}\n{PETERS_LINE}", "x\n".repeat(600_000)),
    ];
    for note in bad {
        assert!(malformed(&note), "{:?}", note.chars().take(300).collect::<String>());
    }
    assert!(!malformed(&good));
    let mut not_utf8 = good.into_bytes();
    not_utf8[0] = 0xff;
    assert!(matches!(note::open(not_utf8, &[]), Err(NoteError::Malformed("it is not UTF-8"))));
    for text in ["", "x", "x\r\n", "\u{1b}[31m\n"] {
        assert!(key(1).sign(text).is_err(), "{text:?}");
    }
    assert!(note::sign("x\n", &[]).is_err());
}

#[test]
fn what_is_no_key_is_refused_without_repeating_it() {
    let good = key(1).verifying_key().to_string();
    let (name, rest) = good.split_once('+').unwrap();
    let (id, encoded) = rest.split_once('+').unwrap();
    let bytes = STANDARD.decode(encoded).unwrap();
    // A point of small order, under its right id: any signature could be made to fit it.
    let mut weak = [0; 32];
    weak[0] = 1;
    let weak_id = Sha256::new().chain_update("weak\n\u{1}").chain_update(weak).finalize();
    let weak_id: String = weak_id[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let weak = format!("weak+{weak_id}+{}", STANDARD.encode([&[1], &weak[..]].concat()));
    let bad = [
        String::new(),
        good.replace('+', " "),
        format!("{good}\n"),
        format!(" {good}"),
        format!("+{rest}"),
        format!("a b+{rest}"),
        format!("{name}x+{rest}"),
        format!("{name}+00000000+{encoded}"),
        format!("{name}+{}+{encoded}", id.to_uppercase()),
        format!("{name}+0{id}+{encoded}"),
        format!("{name}+{id}"),
        format!("{name}+{id}+{}", STANDARD.encode(&bytes[1..])),
        format!("{name}+{id}+{}", STANDARD.encode([&[4], &bytes[1..]].concat())),
        format!("{name}+{id}+{}", STANDARD.encode([&bytes[..], &[0]].concat())),
        format!("{name}+{id}+{encoded}!"),
        weak,
    ];
    for text in bad {
        assert!(VerifyingKey::parse(&text).is_err(), "{text:?}");
        let error = SigningKey::parse(&format!("PRIVATE+KEY+{text}")).unwrap_err().to_string();
        assert!(!error.contains(encoded), "{error}");
    }
    assert!(SigningKey::parse(&good).is_err());
    assert!(SigningKey::parse(&key(1).to_secret_line().to_lowercase()).is_err());
    assert_eq!(SigningKey::parse(&key(1).to_secret_line()).unwrap().verifying_key(), key(1).verifying_key());
    for name in ["", "a b", "a+b", "a\nb", "a\u{3000}b", "a\u{85}b"] {
        assert!(SigningKey::from_seed(name, &[1; 32]).is_err(), "{name:?}");
    }
    let two = format!("{}\n{}\n", key(1).verifying_key(), key(2).verifying_key());
    assert_eq!(VerifyingKey::parse_all(&two).unwrap(), [key(1).verifying_key(), key(2).verifying_key()]);
    assert!(VerifyingKey::parse_all(two.trim_end()).is_ok());
    for text in ["", "\n", &format!("{two}\n"), &two.replace('\n', "\r\n\r\n"), &format!("# keys\n{two}")] {
        assert!(VerifyingKey::parse_all(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_checkpoint_is_written_as_the_specification_shows_it() {
    let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let parsed = Checkpoint::parse(text).unwrap();
    assert_eq!((parsed.origin.as_str(), parsed.size), ("example.com/behind-the-sofa", 20_852_163));
    assert_eq!(parsed.to_text(), text);
    assert_eq!(Checkpoint::parse(&format!("{text}an extension\n")).unwrap(), parsed);
    let root = Digest([0; 32]);
    for size in [0, 1, i64::MAX as u64] {
        let checkpoint = Checkpoint { origin: ORIGIN.into(), size, root };
        assert_eq!(Checkpoint::parse(&checkpoint.to_text()).unwrap(), checkpoint);
    }
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let root = STANDARD.encode([7; 32]);
    let bad = [
        String::new(),
        "\n\n\n".into(),
        format!("\n1\n{root}\n"),
        format!("o\n1\n{root}"),
        format!("o\n1\n{root}\n\n"),
        format!("o\n1\n{root}\n\nx\n"),
        format!("o\n\n{root}\n"),
        format!("o\n01\n{root}\n"),
        format!("o\n00\n{root}\n"),
        format!("o\n+1\n{root}\n"),
        format!("o\n-1\n{root}\n"),
        format!("o\n 1\n{root}\n"),
        format!("o\n1 \n{root}\n"),
        format!("o\n1\r\n{root}\n"),
        format!("o\n0x1\n{root}\n"),
        format!("o\n１\n{root}\n"),
        format!("o\n9223372036854775808\n{root}\n"),
        format!("o\n18446744073709551616\n{root}\n"),
        format!("o\n{}\n{root}\n", "9".repeat(10_000)),
        "o\n1\n".into(),
        "o\n1\n\n".into(),
        format!("o\n1\n{}\n", STANDARD.encode([7; 31])),
        format!("o\n1\n{}\n", STANDARD.encode([7; 33])),
        format!("o\n1\n{}\n", root.trim_end_matches('=')),
        format!("o\n1\n{}\n", "07".repeat(32)),
    ];
    for text in bad {
        assert!(matches!(Checkpoint::parse(&text), Err(CheckpointError::Malformed(_))), "{text:?}");
    }
}

#[test]
fn a_signed_checkpoint_opens_under_its_own_logs_key_alone() {
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size: 5, root: Digest([5; 32]) };
    let (ours, keys) = (key(1), [key(1).verifying_key()]);
    let note = checkpoint.sign(&[&ours]).unwrap();
    assert_eq!(Checkpoint::open(&note, &keys).unwrap(), checkpoint);
    let other = Checkpoint { origin: "placet.log/other".into(), ..checkpoint.clone() };
    let note = other.sign(&[&ours]).unwrap();
    assert_eq!(Checkpoint::open(note, &keys), Err(CheckpointError::Foreign("placet.log/other".into())));
    let note = checkpoint.sign(&[&key(2)]).unwrap();
    assert!(matches!(Checkpoint::open(note, &keys), Err(CheckpointError::Note(NoteError::Unknown(_)))));
    let note = ours.sign("anything else\n").unwrap();
    assert!(matches!(Checkpoint::open(note, &keys), Err(CheckpointError::Malformed(_))));
    let crooked = Checkpoint { origin: "two\nlines\r".into(), ..checkpoint };
    assert!(crooked.sign(&[&ours]).is_err());
}
