//! The points themselves: all listed, each in one place, none in what is released.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use placet::failpoint::POINTS;

fn names(below: &Path, found: &mut BTreeMap<String, usize>) {
    for entry in std::fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("failpoint.rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            for rest in source.split("failpoint!(\"").skip(1) {
                *found.entry(rest.split('"').next().unwrap().to_owned()).or_default() += 1;
            }
        }
    }
}

#[test]
fn every_point_is_listed_and_stands_in_one_place() {
    let mut found = BTreeMap::new();
    names(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let listed: BTreeMap<_, _> = POINTS.iter().map(|point| ((*point).to_owned(), 1)).collect();
    assert_eq!(listed.len(), POINTS.len(), "a point is listed twice");
    assert_eq!(found, listed, "the points in the sources, with how many places each has, are those listed, once");
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
