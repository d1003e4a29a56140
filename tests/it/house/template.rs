//! What a template may not hold: unescaped values, and anything that the content security policy refuses.

/// Everything against the rules in a template.
pub(super) fn findings(path: &str, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut note = |at: usize, what: String| {
        let line = source[..at].matches('\n').count() + 1;
        found.push(format!("{path}:{line}: {what}"));
    };
    for (at, code) in code(source) {
        let words: Vec<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let filters: Vec<&str> = code.split('|').skip(1).map(str::trim_start).collect();
        if filters.iter().any(|filter| filter.split(|c: char| !c.is_alphanumeric() && c != '_').next() == Some("safe"))
        {
            note(at, "`safe` shows a value unescaped: let the template escape it".to_owned());
        }
        if words.contains(&"autoescape") || filters.iter().any(|filter| filter.starts_with("escape(")) {
            note(at, "escaping is not chosen in a template: it is always that of HTML".to_owned());
        }
    }
    if !path.ends_with(".html") {
        return found;
    }
    // Mail programs have no style sheets, and no policy.
    let mail = path.contains("/mail");
    for (at, name, attributes) in tags(&blanked(source)) {
        let has = |wanted: &str| attributes.iter().any(|(name, _)| name == wanted);
        match name.as_str() {
            "script" if !has("src") => note(at, "an inline script: put it into static/".to_owned()),
            "style" if !mail => note(at, "an inline style sheet: put it into static/".to_owned()),
            _ => {}
        }
        for (attribute, value) in &attributes {
            let scheme = value.trim_start().to_ascii_lowercase();
            if attribute == "style" && !mail {
                note(at, "an inline style: give the element a class".to_owned());
            } else if attribute.starts_with("on") || scheme.starts_with("javascript:") {
                note(at, format!("a script in `{attribute}`: listen for the event in static/"));
            }
        }
    }
    found
}

/// The pieces of `{{ … }}` and `{% … %}` with their places.
fn code(source: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (open, close) in [("{{", "}}"), ("{%", "%}")] {
        for (at, _) in source.match_indices(open) {
            let inner = &source[at + 2..];
            found.push((at, &inner[..inner.find(close).unwrap_or(inner.len())]));
        }
    }
    found
}

/// The source with template code and comments of both kinds blanked, byte for byte, so that places stay the same.
fn blanked(source: &str) -> String {
    let mut bytes = source.as_bytes().to_vec();
    let mut at = 0;
    while at < source.len() {
        let rest = &source.as_bytes()[at..];
        let pairs = [("{{", "}}"), ("{%", "%}"), ("{#", "#}"), ("<!--", "-->")];
        let Some((open, close)) = pairs.into_iter().find(|(open, _)| rest.starts_with(open.as_bytes())) else {
            at += 1;
            continue;
        };
        let inner = &source[at + open.len()..];
        let end = inner.find(close).map_or(source.len(), |end| at + open.len() + end + close.len());
        bytes[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b'_');
        at = end;
    }
    String::from_utf8(bytes).expect("whole pieces are blanked")
}

type Tag = (usize, String, Vec<(String, String)>);

/// The opening tags with their places and attributes, names in lower case.
fn tags(html: &str) -> Vec<Tag> {
    let mut found = Vec::new();
    for (at, _) in html.match_indices('<') {
        let inner = &html[at + 1..];
        let name_length = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(inner.len());
        if name_length == 0 {
            continue;
        }
        let name = inner[..name_length].to_ascii_lowercase();
        found.push((at, name, attributes(&inner[name_length..])));
    }
    found
}

/// The attributes up to the tag's end.
fn attributes(mut rest: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        let ends = |c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/' | '<');
        let length = rest.find(ends).unwrap_or(rest.len());
        if length == 0 {
            return found;
        }
        let name = rest[..length].to_ascii_lowercase();
        rest = rest[length..].trim_start();
        let mut value = "";
        if let Some(after) = rest.strip_prefix('=') {
            let after = after.trim_start();
            (value, rest) = match after.chars().next() {
                Some(quote @ ('"' | '\'')) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
                _ => after.split_at(after.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(after.len())),
            };
        }
        found.push((name, value.to_owned()));
    }
}

#[test]
fn what_a_template_may_not_hold_is_found() {
    let bad = [
        ("<p>{{ name | safe }}", "t.html:1: `safe`"),
        ("\n{{ a|upper|safe }}", "t.html:2: `safe`"),
        ("{% autoescape false %}", "escaping is not chosen"),
        ("{{ name|escape(\"none\") }}", "escaping is not chosen"),
        ("<script>alert(1)</script>", "inline script"),
        ("<SCRIPT type=module>", "inline script"),
        ("<style>p {}</style>", "inline style sheet"),
        ("<p\n  class='a' style='color: red'>", "inline style:"),
        ("<p style={{ x }}>", "inline style:"),
        ("<a href=\"/x\" onclick=\"f()\">", "script in `onclick`"),
        ("<body onLoad=f()>", "script in `onload`"),
        ("<p title=\"{{ a > b }}\" onfocus=f>", "script in `onfocus`"),
        ("<a href=' JavaScript:f()'>", "script in `href`"),
    ];
    for (source, wanted) in bad {
        let found = findings("t.html", source).join("\n");
        assert!(found.contains(wanted), "{source:?} should give {wanted:?}, gives {found:?}");
    }
    assert!(findings("templates/mail/call.txt", "{{ name|safe }}").join("").contains("`safe`"));
}

#[test]
fn what_a_template_may_hold_is_not_found() {
    let good = [
        ("t.html", "<script type=\"module\" src=\"{{ asset }}\"></script>"),
        ("t.html", "<p class=\"safe\">{{ safe }} is safe, {{ a || safe_to }} style=\"x\" onclick=\"y\"</p>"),
        ("t.html", "{# <p onclick=f> #}<!-- <style> --><a href=\"/on?onclick=1\" data-on=1>on</a>"),
        ("t.html", "{% if a < b %}<br/>{% endif %} 1 < 2"),
        ("templates/mail/call.html", "<p style=\"color: red\">{{ name }}</p>"),
    ];
    for (path, source) in good {
        assert_eq!(findings(path, source), [] as [String; 0], "{source:?}");
    }
}
