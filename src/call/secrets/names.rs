//! Which member, variable and option names promise a secret.

/// What sort of secret a name promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A password, a key: secret in every form.
    Secret,
    /// A token: secret as a string; a number under such a name is a count.
    Token,
    /// A header whose whole line is secret.
    Header,
}

/// Names that end so, case, separators and a last `s` set aside.
const SECRETS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "passwort",
    "kennwort",
    "motdepasse",
    "contraseña",
    "contrasena",
    "senha",
    "wachtwoord",
    "пароль",
    "密码",
    "密碼",
    "パスワード",
    "비밀번호",
    "pwd",
    "pswd",
    "dbpass",
    "userpass",
    "rootpass",
    "adminpass",
    "smtppass",
    "mailpass",
    "ftppass",
    "proxypass",
    "authpass",
    "keypass",
    "storepass",
    "secret",
    "apikey",
    "accesskey",
    "secretkey",
    "secretaccesskey",
    "privatekey",
    "authkey",
    "encryptionkey",
    "signingkey",
    "sharedkey",
    "masterkey",
    "accountkey",
    "storagekey",
    "hmackey",
    "recoverykey",
    "recoverycode",
    "backupcode",
    "verificationcode",
    "authenticationcode",
    "mfacode",
    "mnemonic",
    "seedphrase",
    "recoveryphrase",
    "credential",
    "xamzsignature",
    "xgoogsignature",
];
/// Last words that are too short to be the end of a longer one.
const WORDS: &[&str] = &["pass", "pw", "otp", "totp", "cvv", "cvc", "cred", "creds"];
const TOKENS: &[&str] = &["token", "jwt"];
const HEADERS: &[&str] = &["authorization", "cookie"];

/// Names that end like a secret's and are none, a last `s` set aside: places in a list, counts, repeat guards, a
/// tokenizer's marks, and objects of Kubernetes called by name.
const HARMLESS: &[&str] = &[
    "nexttoken",
    "pagetoken",
    "continuationtoken",
    "paginationtoken",
    "progresstoken",
    "startingtoken",
    "synctoken",
    "deltatoken",
    "resumetoken",
    "resumptiontoken",
    "scrolltoken",
    "changetoken",
    "locktoken",
    "cancellationtoken",
    "idempotencytoken",
    "clientrequesttoken",
    "maxtoken",
    "mintoken",
    "totaltoken",
    "prompttoken",
    "completiontoken",
    "inputtoken",
    "outputtoken",
    "cachedtoken",
    "reasoningtoken",
    "thinkingtoken",
    "budgettoken",
    "maxnewtoken",
    "numtoken",
    "eostoken",
    "bostoken",
    "padtoken",
    "unktoken",
    "septoken",
    "clstoken",
    "specialtoken",
    "stoptoken",
    "existingsecret",
    "imagepullsecret",
];

/// First words of a count: a number under such a name is no secret.
const COUNTS: &[&str] = &["num", "number", "count", "max", "min", "total", "maximum", "minimum"];

/// Words behind a secret's name that leave it one: `secret_string`, `new_password_2`.
const FILLERS: &[&str] = &[
    "value",
    "val",
    "string",
    "str",
    "binary",
    "hash",
    "text",
    "plain",
    "plaintext",
    "data",
    "content",
    "base64",
    "b64",
    "pem",
    "json",
    "yaml",
    "raw",
    "new",
    "old",
    "current",
    "previous",
    "confirm",
    "confirmation",
    "encoded",
    "list",
    "map",
    "array",
    "dict",
];

/// Words behind the name of what a person types a secret into: "Password field".
const PLACES: &[&str] = &["field", "input", "box", "textbox", "textfield", "prompt", "label", "header"];

/// Longer names are no names.
const LONGEST: usize = 128;

/// What the name promises, if it promises a secret. `secret_name`, `token_count` and
/// `password_policy` do not: what counts is how a name ends.
pub(super) fn secret_name(name: &str) -> Option<Name> {
    promised(&stem(name)?)
}

/// As [`secret_name`], for what describes a place to type in.
pub(super) fn secret_place(name: &str) -> Option<Name> {
    let mut words = stem(name)?;
    while words.last().is_some_and(|last| PLACES.contains(&last.as_str())) {
        words.pop();
    }
    promised(&words)
}

/// Whether a name that promises a secret promises several: then an object under it may have them as keys.
pub(super) fn is_plural(name: &str) -> bool {
    let ends_in_s = |words: Vec<String>| words.last().is_some_and(|last| last.ends_with('s') && last != "pass");
    stem(name).is_some_and(ends_in_s)
}

/// The words of a name without those behind it that say nothing.
fn stem(name: &str) -> Option<Vec<String>> {
    if name.len() > LONGEST {
        return None;
    }
    let mut words = words(name);
    while let Some(last) = words.last_mut() {
        last.truncate(last.trim_end_matches(|c: char| c.is_ascii_digit()).len());
        if !last.is_empty() && !FILLERS.contains(&last.as_str()) {
            break;
        }
        words.pop();
    }
    Some(words)
}

fn promised(words: &[String]) -> Option<Name> {
    let last = words.last()?.as_str();
    let joined = words.concat();
    let singular = joined.strip_suffix('s').unwrap_or(&joined);
    let ends_as = |list: &[&str]| list.iter().any(|end| singular.ends_with(end) || joined.ends_with(end));
    let counts = words.len() > 1 && COUNTS.contains(&words[0].as_str());
    match last {
        _ if ends_as(HARMLESS) => None,
        "pat" if words.len() > 1 => Some(Name::Token),
        _ if WORDS.contains(&last) || ends_as(SECRETS) => Some(if counts { Name::Token } else { Name::Secret }),
        _ if ends_as(TOKENS) => Some(Name::Token),
        _ if ends_as(HEADERS) => Some(Name::Header),
        _ => None,
    }
}

/// The words of a name in lower case, whichever way it joins them: `dbPassword`,
/// `DBPassword`, `db-password`, `DB_PASSWORD`, `db.password`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut chars = name.chars().peekable();
    let mut before = '_';
    while let Some(c) = chars.next() {
        let next_is_lower = chars.peek().is_some_and(|next| next.is_lowercase());
        let hump = c.is_uppercase() && (before.is_lowercase() || next_is_lower);
        if hump || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_promise_a_secret() {
        for name in [
            "password",
            "Password",
            "PASSWD",
            "db_password",
            "dbPassword",
            "DBPassword",
            "MasterUserPassword",
            "mysqlpassword",
            "new-password",
            "password2",
            "password_new",
            "passwordHash",
            "secret",
            "client_secret",
            "clientSecret",
            "SecretString",
            "secret_value",
            "SECRET_KEY",
            "api_key",
            "apiKey",
            "APIKey",
            "x-api-key",
            "apikey",
            "access_key",
            "aws_secret_access_key",
            "SecretAccessKey",
            "private_key",
            "privateKeyPem",
            "ssh_private_key",
            "credentials",
            "Credential",
            "db_pass",
            "pwd",
            "spring.datasource.password",
            "passphrase",
            "otp",
            "X-Amz-Signature",
            "api_keys",
            "passphrases",
            "secret_keys",
            "passwordList",
            "PGPASSWORD",
            "MYSQL_PWD",
            "-storepass",
            "contraseña",
            "пароль",
        ] {
            assert_eq!(secret_name(name), Some(Name::Secret), "{name}");
        }
        for name in [
            "token",
            "access_token",
            "SessionToken",
            "session_token",
            "idToken",
            "jwt",
            "tokens",
            "GITHUB_PAT",
            "num_passwords",
        ] {
            assert_eq!(secret_name(name), Some(Name::Token), "{name}");
        }
        for name in ["authorization", "Proxy-Authorization", "cookie", "Set-Cookie"] {
            assert_eq!(secret_name(name), Some(Name::Header), "{name}");
        }
    }

    #[test]
    fn names_that_do_not() {
        for name in [
            "",
            "name",
            "user_name",
            "secret_name",
            "secretId",
            "secret_arn",
            "token_count",
            "token_type",
            "max_tokens",
            "next_token",
            "NextToken",
            "pageToken",
            "key",
            "keys",
            "public_key",
            "AccessKeyId",
            "access_key_id",
            "password_policy",
            "PasswordResetRequired",
            "password_length",
            "author",
            "authorization_url",
            "cookie_name",
            "compass",
            "bypass",
            "passenger",
            "value",
            "string",
            "policy_document",
            "tokenizer",
            "Pat",
            "page_tokens",
            "max_new_tokens",
            "eos_token",
            "imagePullSecrets",
            "MinimumPasswordLength",
            "trespass",
            "ssh_key",
            "session_id",
            "secretary",
            "2",
        ] {
            assert_eq!(secret_name(name), None, "{name}");
        }
        assert_eq!(secret_name(&"password".repeat(100)), None);
        assert_eq!(secret_name("Password field"), None);
        assert_eq!(secret_place("Password field"), Some(Name::Secret));
    }

    #[test]
    fn plurals() {
        for (name, plural) in [("tokens", true), ("api_keys", true), ("passwords_map", true), ("token", false)] {
            assert_eq!(is_plural(name), plural, "{name}");
        }
        assert!(!is_plural("db_pass"));
    }
}
