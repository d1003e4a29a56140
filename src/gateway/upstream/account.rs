//! The system user that an upstream runs as, looked up in `/etc/passwd`.

/// A user's numbers and home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: String,
}

impl Account {
    /// Looks a user up by name.
    pub(super) fn find(name: &str) -> Result<Self, String> {
        let users = std::fs::read_to_string("/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
        Self::find_in(&users, name)
            .ok_or_else(|| format!("there is no system user {name:?}. Create it, or leave user out"))
    }

    /// The first line of that name with sound numbers (passwd(5): name, password, uid, gid, gecos, home, shell).
    fn find_in(users: &str, name: &str) -> Option<Self> {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            if fields.next() != Some(name) || name.is_empty() {
                return None;
            }
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            Some(Self { uid, gid, home: fields.nth(1)?.to_owned() })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbad:x:no:1::/:\nmcp:x:990:991:MCP,,:/var/lib/mcp:/bin/false\n";
        let account = Account { uid: 990, gid: 991, home: "/var/lib/mcp".into() };
        assert_eq!(Account::find_in(users, "mcp"), Some(account));
        for nobody in ["", "mc", "mcp:x", "bad", "#mcp"] {
            assert_eq!(Account::find_in(users, nobody), None, "{nobody}");
        }
    }
}
