//! The points themselves: all listed, each in one place, none in what is released.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use placet::failpoint::POINTS;

use super::plan::CAN_FAIL;

fn sources(below: &Path, read: &mut Vec<String>) {
    for entry in std::fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, read);
        } else if path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("failpoint.rs") {
            read.push(std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// That each point in the sources is listed, the compiler checks.
#[test]
fn every_listed_point_stands_in_one_place() {
    let mut read = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut read);
    for point in POINTS {
        let quoted = format!("\"{point}\"");
        let places = read.iter().map(|source| source.matches(&quoted).count()).sum::<usize>();
        assert_eq!(places, 1, "{point}");
        let fails = read.iter().any(|source| source.contains(&format!("failpoint!({quoted} =>")));
        assert_eq!(fails || point.starts_with("write."), CAN_FAIL.contains(point), "{point}");
    }
    assert_eq!(POINTS.iter().collect::<BTreeSet<_>>().len(), POINTS.len(), "a point is listed twice");
}

/// What is built without tests has none of the features that only the tests' dependency on ourselves asks for.
#[test]
fn nothing_that_is_released_has_points() {
    let tree = |edges: &str| {
        let cargo = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--depth", "1", "--prefix", "none", "--edges", edges, "--format", "{p} [{f}]"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(cargo.status.success(), "{cargo:?}");
        let text = String::from_utf8(cargo.stdout).unwrap();
        text.lines().filter(|line| line.starts_with("placet ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let released = tree("normal,build");
    assert!(released.len() == 1 && released[0].ends_with("[]"), "{released:?}");
    let tested = tree("normal,build,dev");
    assert!(tested.iter().any(|line| line.contains("[failpoints]")), "{tested:?}");
}
