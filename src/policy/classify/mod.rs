//! What a tool probably does, by its name, its parameters and what its server says of it: the start of a policy, and a
//! word on the pages. Never a ruling: a name proves nothing.
//!
//! The gravest thing that anything says counts. What a server says of itself may make it graver; it may make it milder
//! only to reading, and only where the name says reading too and no second thing beside it.

mod tool;
mod words;

#[cfg(test)]
mod tests;

pub use tool::{Parameter, Tool};

use self::words::Use;
use crate::call::Risk;
use crate::call::json::quote;

/// What a tool was taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `None`: nothing tells.
    pub class: Option<Risk>,
    /// Why, in words for the author of a policy.
    pub why: String,
}

/// The class in a word.
#[must_use]
pub fn class_name(class: Option<Risk>) -> &'static str {
    match class {
        Some(Risk::Read) => "Read",
        Some(Risk::Write) => "Write",
        Some(Risk::Destructive) => "Destructive",
        Some(Risk::Execute) => "Execute",
        Some(Risk::Financial) => "Financial",
        Some(Risk::Access) => "Access",
        None => "Unknown",
    }
}

/// Says what a tool probably does. `upstream`: the server's name, with which its tools' names may begin.
#[must_use]
pub fn classify(upstream: &str, tool: &Tool) -> Verdict {
    let name = Name::read(upstream, &tool.name);
    let named = name.says();
    let mut found = parameters(tool, named.class);
    found.extend(hints(tool));
    found.retain(|found| named.class < Some(found.class) && !name.is_believed(tool, found));
    let mut verdict = match found.into_iter().max_by_key(|found| found.class) {
        Some(found) => Verdict { class: Some(found.class), why: found.why },
        None => named,
    };
    if verdict.class.is_none()
        && tool.read_only == Some(true)
        && let Some(word) = name.looks()
    {
        let why = format!("its name says {}, and its server calls it read-only", quote(word));
        verdict = Verdict { class: Some(Risk::Read), why };
    }
    verdict
}

/// One thing that says what a tool does.
struct Found {
    class: Risk,
    why: String,
    /// Whether a server that calls the tool read-only may be believed against it.
    refutable: bool,
}

/// A tool's name in words.
struct Name {
    words: Vec<String>,
    /// Where it begins: behind the product.
    first: usize,
}

impl Name {
    fn read(upstream: &str, name: &str) -> Self {
        let (words, own) = (split(name), split(upstream));
        let mut first = 0;
        if words.len() > own.len() && words.starts_with(&own) {
            first = own.len();
        } else if words.len() > 1 && words::PRODUCTS.contains(&&*words[0]) {
            first = 1;
        }
        Self { words, first }
    }

    fn words(&self) -> &[String] {
        &self.words[self.first..]
    }

    /// The verb with which it begins, if that only reads.
    fn begins_reading(&self) -> Option<&str> {
        self.words().first().map(String::as_str).filter(|word| words::READS.contains(word))
    }

    /// A word that speaks of looking, wherever it stands.
    fn looks(&self) -> Option<&str> {
        let looks = |word: &&str| words::READS.contains(word) || words::LOOKS.contains(word);
        self.words().iter().map(String::as_str).find(looks)
    }

    /// What the name does beside reading: the gravest of its verbs.
    fn does(&self) -> Option<(Risk, &str)> {
        let words = self.words();
        let verb = |at: usize| {
            let (word, class, used) = words::DOES.iter().find(|(word, ..)| *word == words[at])?;
            let is_verb = *used == Use::Verb || at == 0 || self.is_second(at);
            is_verb.then_some((*class, *word))
        };
        let verbs = || (0..words.len()).filter_map(verb).max_by_key(|(class, _)| *class);
        // At the end of a name a word may be its verb, as in `pods_run`, where nothing before is.
        let last = || {
            let last = words.last().filter(|_| self.looks().is_none())?;
            words::DOES.iter().find(|(word, ..)| word == last).map(|(word, class, _)| (*class, *word))
        };
        verbs().or_else(last)
    }

    /// Whether the word follows one that joins two verbs.
    fn is_second(&self, at: usize) -> bool {
        at.checked_sub(1).is_some_and(|before| words::ALSO.contains(&&*self.words()[before]))
    }

    fn says_two_things(&self) -> bool {
        (1..self.words().len()).any(|at| self.is_second(at))
    }

    fn noun(&self, table: &[&'static str]) -> Option<&'static str> {
        table.iter().find(|noun| self.words().iter().any(|word| word == *noun)).copied()
    }

    /// A thing that says who may do what.
    fn access(&self) -> Option<String> {
        let key = |pair: &[String]| {
            let is_key = matches!(&*pair[1], "key" | "keys") && words::KEYS.contains(&&*pair[0]);
            is_key.then(|| format!("{} {}", pair[0], pair[1]))
        };
        self.words().windows(2).find_map(key).or_else(|| self.noun(words::ACCESS).map(str::to_owned))
    }

    fn money(&self) -> Option<&'static str> {
        let noun = self.noun(words::MONEY)?;
        (!noun.starts_with("subscription") || self.noun(words::TOPICS).is_none()).then_some(noun)
    }

    /// What the name alone says.
    fn says(&self) -> Verdict {
        let verdict = |class: Risk, why: String| Verdict { class: Some(class), why };
        if let Some((class, verb)) = self.does() {
            if class < Risk::Access
                && let Some(noun) = self.access()
            {
                let why = format!("it says {}, and {} is about who may do what", quote(verb), quote(&noun));
                return verdict(Risk::Access, why);
            }
            if class < Risk::Financial
                && let Some(noun) = self.money()
            {
                return verdict(Risk::Financial, format!("it says {}, and {} is money", quote(verb), quote(noun)));
            }
            return verdict(class, format!("its name says {}", quote(verb)));
        }
        match self.begins_reading() {
            Some(_) if let Some(secret) = self.noun(words::SECRETS) => {
                verdict(Risk::Access, format!("who reads a {} may use it", quote(secret)))
            }
            Some(verb) => verdict(Risk::Read, format!("its name begins with {}", quote(verb))),
            None => Verdict { class: None, why: "nothing in its name says what it does".to_owned() },
        }
    }

    /// Whether a tool is read-only because its server says so, against what was found.
    fn is_believed(&self, tool: &Tool, found: &Found) -> bool {
        let reads = self.begins_reading().is_some() && self.does().is_none() && !self.says_two_things();
        found.refutable && reads && tool.read_only == Some(true) && tool.destructive != Some(true)
    }
}

/// What the parameters say beyond the name.
fn parameters(tool: &Tool, named: Option<Risk>) -> Vec<Found> {
    let has = |name: &str| tool.parameters.iter().any(|parameter| parameter.name.eq_ignore_ascii_case(name));
    let mut found = Vec::new();
    for parameter in &tool.parameters {
        let words = split(&parameter.name);
        let is_code = |last: &String| words::CODE.contains(&&**last) || (last == "code" && words.len() == 1);
        if words.last().is_some_and(is_code) {
            let why = format!("it takes {}, which may do anything", quote(&parameter.name));
            found.push(Found { class: Risk::Execute, why, refutable: true });
        }
        if words::MODES.contains(&&*parameter.name.to_lowercase()) {
            found.extend(parameter.values.iter().filter_map(|value| {
                let value = Name { words: split(value), first: 0 };
                let (class, word) = value.does()?;
                let why = format!("its parameter {} may say {}", quote(&parameter.name), quote(word));
                Some(Found { class, why, refutable: false })
            }));
        }
    }
    let mutates = named.is_none_or(|class| class > Risk::Read);
    if mutates && has("amount") && has("currency") {
        let why = "it takes an amount and a currency".to_owned();
        found.push(Found { class: Risk::Financial, why, refutable: false });
    }
    if has("url") && has("body") {
        let why = "it sends what it is given to a URL".to_owned();
        found.push(Found { class: Risk::Write, why, refutable: false });
    }
    found
}

/// What its server says of the tool that makes it graver.
fn hints(tool: &Tool) -> Option<Found> {
    if tool.destructive == Some(true) && tool.read_only != Some(true) {
        let why = "its server says that it may destroy".to_owned();
        return Some(Found { class: Risk::Destructive, why, refutable: false });
    }
    let why = "its server says that it changes things".to_owned();
    (tool.read_only == Some(false)).then_some(Found { class: Risk::Write, why, refutable: false })
}

/// A name's words in lower case: parted by whatever is no letter or digit, and where a capital begins one.
fn split(name: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let mut end = |word: &mut String| {
        if !word.is_empty() {
            words.push(std::mem::take(word));
        }
    };
    let mut before = ' ';
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        let next_is_lower = chars.peek().is_some_and(|next| next.is_lowercase());
        if !c.is_alphanumeric() {
            end(&mut word);
        } else {
            if c.is_uppercase() && (before.is_lowercase() || before.is_numeric() || next_is_lower) {
                end(&mut word);
            }
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    end(&mut word);
    words
}
