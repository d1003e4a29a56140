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

/// Names that end so, case and separators set aside.
const SECRETS: &[&str] = &[
    "password",
    "passwords",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "secrets",
    "apikey",
    "apikeys",
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
    "credential",
    "credentials",
    "xamzsignature",
    "xgoogsignature",
];
const TOKENS: &[&str] = &["token", "tokens", "jwt"];
const HEADERS: &[&str] = &["authorization", "cookie", "cookies"];

/// Names that end like a secret's and are none: places in a list, counts, repeat guards.
const HARMLESS: &[&str] = &[
    "nexttoken",
    "pagetoken",
    "continuationtoken",
    "paginationtoken",
    "progresstoken",
    "startingtoken",
    "idempotencytoken",
    "clientrequesttoken",
    "maxtokens",
    "mintokens",
    "totaltokens",
    "prompttokens",
    "completiontokens",
    "inputtokens",
    "outputtokens",
    "numtokens",
];

/// Words behind a secret's name that leave it one: `secret_string`, `new_password_2`.
const FILLERS: &[&str] = &[
    "value",
    "string",
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
    "raw",
    "new",
    "old",
    "current",
    "previous",
    "confirm",
    "confirmation",
    "encoded",
];

/// Longer names are no names.
const LONGEST: usize = 128;

/// What the name promises, if it promises a secret. `secret_name`, `token_count` and
/// `password_policy` do not: what counts is how a name ends.
pub(super) fn secret_name(name: &str) -> Option<Name> {
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
    let ends_as = |list: &[&str]| {
        let joined = words.concat();
        list.iter().any(|end| joined.ends_with(end))
    };
    match words.last()?.as_str() {
        "pass" | "otp" => Some(Name::Secret),
        _ if ends_as(HARMLESS) => None,
        _ if ends_as(SECRETS) => Some(Name::Secret),
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
        ] {
            assert_eq!(secret_name(name), Some(Name::Secret), "{name}");
        }
        for name in ["token", "access_token", "SessionToken", "session_token", "idToken", "jwt", "tokens"] {
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
            "secretary",
            "2",
        ] {
            assert_eq!(secret_name(name), None, "{name}");
        }
        assert_eq!(secret_name(&"password".repeat(100)), None);
    }
}
