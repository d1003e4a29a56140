"""Makes schema.json: what the tests need of the OCSF schema, read from a clone of github.com/ocsf/ocsf-schema.

    python3 extract.py path/to/ocsf-schema > schema.json

Only the classes, the profile and the objects that `placet audit export --format ocsf` writes; of each attribute its
type, its requirement and its enumeration, no descriptions.
"""
import json
import subprocess
import sys

TAG = "1.8.0"
CLASSES = {
    "events/base_event.json": "other",
    "events/findings/detection_finding.json": "findings",
    "events/iam/account_change.json": "iam",
    "events/iam/authentication.json": "iam",
    "events/iam/entity_management.json": "iam",
    "events/application/application_lifecycle.json": "application",
    "events/application/api_activity.json": "application",
}
PROFILES = ["profiles/security_control.json"]
OBJECTS = [
    "actor", "api", "finding_info", "managed_entity", "metadata", "network_endpoint", "object", "policy", "product",
    "request", "resource_details", "service", "session", "user",
]


def git(*arguments):
    return subprocess.run(["git", "-C", sys.argv[1], *arguments], check=True, capture_output=True, text=True).stdout


def read(path):
    return json.loads(git("show", f"{TAG}:{path}"))


def merged(below, above):
    """`above` laid over `below`, members of objects one by one."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return {**below, **{key: merged(below.get(key), value) for key, value in above.items()}}


# Abstract classes and objects that others extend, by name.
PATHS = {}
for path in git("ls-tree", "-r", "--name-only", TAG, "events", "objects").split():
    PATHS[path.split("/")[0], path.split("/")[-1].removesuffix(".json")] = path

DICTIONARY = read("dictionary.json")
CATEGORIES = read("categories.json")["attributes"]


def resolved(path):
    """A class or object with all that it extends: its attributes and constraints."""
    own = read(path)
    attributes = {}
    for include in own["attributes"].pop("$include", []):
        if include in PROFILES:
            profile = read(include)
            for name, attribute in profile["attributes"].items():
                attributes[name] = {**attribute, "profile": profile["name"]}
    for name, attribute in own["attributes"].items():
        attributes[name] = merged({**attributes.get(name, {}), "profile": None}, attribute)
    below = {"attributes": {}}
    if "extends" in own:
        below = resolved(PATHS[path.split("/")[0], own["extends"]])
    own["attributes"] = merged(below["attributes"], attributes)
    if "constraints" not in own and "constraints" in below:
        own["constraints"] = below["constraints"]
    return own


def attribute(name, said):
    """An attribute as the extract has it."""
    of_dictionary = DICTIONARY["attributes"][name]
    whole = merged(of_dictionary, said)
    out = {"type": whole["type"]}
    if whole["type"].endswith("_t"):
        base = DICTIONARY["types"]["attributes"][whole["type"]].get("type")
        if base:
            out["base"] = base
    if whole.get("is_array"):
        out["is_array"] = True
    if whole.get("requirement", "optional") != "optional":
        out["requirement"] = whole["requirement"]
    if whole.get("profile"):
        out["profile"] = whole["profile"]
    if "sibling" in whole:
        out["sibling"] = whole["sibling"]
    # Those of these two are the classes themselves.
    if "enum" in whole and name not in ("category_uid", "class_uid"):
        out["enum"] = {key: value["caption"] for key, value in whole["enum"].items()}
    return out


def extracted(whole):
    out = {name: attribute(name, said) for name, said in sorted(whole["attributes"].items())}
    return {**({"constraints": whole["constraints"]} if "constraints" in whole else {}), "attributes": out}


classes = {}
for path, category in CLASSES.items():
    whole = resolved(path)
    of_category = CATEGORIES.get(category, {"uid": 0, "caption": "Uncategorized"})
    number, caption = of_category["uid"], of_category["caption"]
    classes[str(number * 1000 + whole.get("uid", 0))] = {
        "caption": whole["caption"], "category_uid": number, "category_name": caption, **extracted(whole),
    }

print(json.dumps({
    "source": "https://github.com/ocsf/ocsf-schema",
    "version": read("version.json")["version"],
    "commit": git("rev-parse", f"{TAG}^{{commit}}").strip(),
    "licence": "Apache-2.0; Copyright © OCSF a Series of LF Projects, LLC; includes the ICD Schema developed by "
               "Symantec, a division of Broadcom",
    "changes": "an extract made by extract.py: no descriptions, and only what the tests need",
    "classes": classes,
    "objects": {name: extracted(resolved(PATHS["objects", name])) for name in OBJECTS},
}, ensure_ascii=False, separators=(",", ":")).replace('},"', '},\n"'))
