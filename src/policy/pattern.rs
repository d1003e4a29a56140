//! Names and globs, matched all at once. A pattern with a `/` is read in two ways: as `<upstream>/<tool>`, and as the
//! name of a tool that itself contains a `/`. What restricts counts in either reading; what permits only where no
//! other upstream could be meant, so that no server can name a tool into another server's permission.

use std::collections::HashMap;

use globset::{GlobSet, GlobSetBuilder};

use super::glob::Glob;
use crate::call::UpstreamName;

/// A name or glob of a policy file, in its readings.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: String,
    /// Upstream and tool, where a `/` parts them.
    parts: Option<(Part, Part)>,
    whole: Part,
}

#[derive(Clone, Debug)]
enum Part {
    Name(String),
    Glob(Glob),
}

impl Part {
    fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a name is empty".to_owned());
        }
        if !text.contains(['*', '?', '[', ']', '{', '}', '\\']) {
            return Ok(Self::Name(text.to_owned()));
        }
        // `*` crosses a `/`: tools may have one in their names, and a rule for `*` means them too.
        let glob = Glob::new(&single_stars(text)).map_err(|why| format!("{text:?} is not a glob: {why}"))?;
        Ok(Self::Glob(glob))
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Glob(glob) => glob.is_match(name),
        }
    }

    fn is_name(&self) -> bool {
        matches!(self, Self::Name(_))
    }

    /// Whether it speaks of a `/` itself, and none of its wildcards has to reach over one.
    fn has_slash(&self) -> bool {
        match self {
            Self::Name(own) => own.contains('/'),
            Self::Glob(glob) => glob.text().contains('/'),
        }
    }
}

/// A tool's name without its upstream's before it; `None` where it carries none.
pub(super) fn without_upstream<'t>(upstream: &UpstreamName, tool: &'t str) -> Option<&'t str> {
    tool.strip_prefix(upstream.as_str())?.strip_prefix('/')
}

/// The same glob without `**`, which in paths means whole folders (`**/x` would match `x`) and here means `*`.
fn single_stars(text: &str) -> String {
    let (mut single, mut escaped, mut star) = (String::with_capacity(text.len()), false, false);
    for c in text.chars() {
        let repeated = c == '*' && star;
        star = c == '*' && !escaped;
        escaped = c == '\\' && !escaped;
        if !repeated {
            single.push(c);
        }
    }
    single
}

impl Pattern {
    /// Reads a tool's name or glob.
    ///
    /// # Errors
    /// Says why this matches nothing.
    pub fn tool(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').map(|(upstream, tool)| Ok((Part::new(upstream)?, Part::new(tool)?)));
        let parts = parts.transpose().map_err(|why: String| match Part::new(text) {
            Ok(Part::Glob(_)) => format!("{text:?}: a '/' may not stand inside braces, brackets or behind a backslash"),
            _ => why,
        })?;
        Ok(Self { text: text.to_owned(), parts, whole: Part::new(text)? })
    }

    /// Reads a method's name or glob, in which a `/` has no meaning of its own.
    ///
    /// # Errors
    /// Says why this matches nothing.
    pub fn method(text: &str) -> Result<Self, String> {
        Ok(Self { text: text.to_owned(), parts: None, whole: Part::new(text)? })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it names one tool (of one upstream, or of any).
    pub fn is_exact(&self) -> bool {
        self.whole.is_name()
    }

    /// The upstream that it names outright.
    pub fn upstream(&self) -> Option<&str> {
        match &self.parts {
            Some((Part::Name(upstream), _)) => Some(upstream),
            _ => None,
        }
    }

    /// Whether some tool of this upstream could match.
    pub fn may_match(&self, upstream: &UpstreamName) -> bool {
        // With a '/' it may also be the name of a tool of any upstream; a tool of that name is rare, a wrong "yes"
        // costs nothing, but `<upstream>/…` of another upstream should not count.
        self.parts.as_ref().is_none_or(|(own, _)| own.matches(upstream.as_str()))
    }

    /// Whether some upstream's tool of this name could match.
    pub fn may_match_tool(&self, tool: &str) -> bool {
        self.whole.matches(tool) || self.parts.as_ref().is_some_and(|(_, own)| own.matches(tool))
    }
}

/// One pattern that matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    /// Which pattern, by its place in the list that the matcher was made of.
    pub rule: usize,
    /// Whether the match may permit something; otherwise it only restricts.
    pub permits: bool,
}

#[derive(Clone, Debug)]
enum Reading {
    /// The pattern speaks of tools of any upstream.
    AnyUpstream,
    /// Of tools of these.
    Upstream(Part),
    /// The `/` belongs to the tool's own name.
    OwnSlash,
}

#[derive(Clone, Debug)]
struct Hit {
    rule: usize,
    reading: Reading,
    /// Whether what is matched has a `/` of its own.
    has_slash: bool,
}

/// Many patterns, ready to be matched.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    names: HashMap<String, Vec<Hit>>,
    globs: GlobSet,
    hits: Vec<(Glob, Hit)>,
}

impl Matcher {
    /// Prepares the patterns, which are known by their place.
    ///
    /// # Errors
    /// All globs together may be larger than the matcher's limit.
    pub fn new<'p>(patterns: impl IntoIterator<Item = &'p Pattern>) -> Result<Self, String> {
        let mut names: HashMap<String, Vec<Hit>> = HashMap::new();
        let (mut globs, mut hits) = (GlobSetBuilder::new(), Vec::new());
        let mut add = |part: &Part, hit: Hit| match part {
            Part::Name(name) => names.entry(name.clone()).or_default().push(hit),
            Part::Glob(glob) => {
                globs.add(glob.of_bytes().clone());
                hits.push((glob.clone(), hit));
            }
        };
        for (rule, pattern) in patterns.into_iter().enumerate() {
            match &pattern.parts {
                None => add(&pattern.whole, Hit { rule, reading: Reading::AnyUpstream, has_slash: false }),
                Some((upstream, tool)) => {
                    let reading = Reading::Upstream(upstream.clone());
                    add(tool, Hit { rule, reading, has_slash: tool.has_slash() });
                    add(&pattern.whole, Hit { rule, reading: Reading::OwnSlash, has_slash: true });
                }
            }
        }
        let globs = globs.build().map_err(|error| format!("these globs together are too large: {error}"))?;
        Ok(Self { names, globs, hits })
    }

    /// Every pattern that matches this tool, each once, in their order. The tool's name may itself begin with
    /// `<upstream>/`. `known`: the configured upstreams; empty where they are not known.
    pub fn find(&self, upstream: &UpstreamName, tool: &str, known: &[UpstreamName]) -> Vec<Found> {
        let without_prefix = without_upstream(upstream, tool);
        let upstream = upstream.as_str();
        let mut found = Vec::new();
        // `i*` is no permission for `iam/x`: its star would reach over the upstream's name.
        let permits = |hit: &Hit| without_prefix.is_none() || hit.has_slash;
        let own_slash = match tool.split_once('/') {
            Some((first, _)) => first == upstream || (!known.is_empty() && known.iter().all(|k| k.as_str() != first)),
            None => false,
        };
        self.collect(tool, &mut |hit| match &hit.reading {
            Reading::AnyUpstream => found.push(Found { rule: hit.rule, permits: permits(hit) }),
            Reading::Upstream(part) if part.matches(upstream) => {
                found.push(Found { rule: hit.rule, permits: permits(hit) });
            }
            Reading::Upstream(_) => {}
            Reading::OwnSlash => found.push(Found { rule: hit.rule, permits: own_slash }),
        });
        if let Some(tool) = without_prefix {
            self.collect(tool, &mut |hit| match &hit.reading {
                Reading::AnyUpstream => found.push(Found { rule: hit.rule, permits: true }),
                Reading::Upstream(part) if part.matches(upstream) => {
                    found.push(Found { rule: hit.rule, permits: true });
                }
                Reading::Upstream(_) | Reading::OwnSlash => {}
            });
        }
        // The permitting match of a rule first, so that it is the one that stays.
        found.sort_unstable_by_key(|found| (found.rule, !found.permits));
        found.dedup_by_key(|found| found.rule);
        found
    }

    /// Every pattern that matches this method, in their order.
    pub fn find_method(&self, method: &str) -> Vec<Found> {
        let mut found = Vec::new();
        self.collect(method, &mut |hit| found.push(Found { rule: hit.rule, permits: true }));
        found.sort_unstable();
        found
    }

    /// Every pattern that matches what this exact pattern names, on whatever upstream.
    pub fn overlapping(&self, exact: &Pattern) -> Vec<usize> {
        let mut found = Vec::new();
        self.collect(&exact.text, &mut |hit| {
            if !matches!(hit.reading, Reading::Upstream(_)) {
                found.push(hit.rule);
            }
        });
        if let Some((Part::Name(upstream), Part::Name(tool))) = &exact.parts {
            self.collect(tool, &mut |hit| match &hit.reading {
                Reading::AnyUpstream => found.push(hit.rule),
                Reading::Upstream(part) if part.matches(upstream) => found.push(hit.rule),
                Reading::Upstream(_) | Reading::OwnSlash => {}
            });
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The first pattern that matches what this exact pattern names.
    pub fn overlaps(&self, exact: &Pattern) -> Option<usize> {
        self.overlapping(exact).first().copied()
    }

    fn collect(&self, name: &str, take: &mut dyn FnMut(&Hit)) {
        self.names.get(name).into_iter().flatten().for_each(&mut *take);
        if name.ends_with("..") || !name.is_ascii() {
            // The set takes names for paths, and sees no file name in one that ends in `..`; and it takes bytes for
            // characters.
            self.hits.iter().filter(|(glob, _)| glob.is_match(name)).for_each(|(_, hit)| take(hit));
        } else if !self.globs.is_empty() {
            self.globs.matches(name).into_iter().for_each(|at| take(&self.hits[at].1));
        }
    }
}
