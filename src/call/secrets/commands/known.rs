//! Commands whose short flags take a secret, and which part of the value it is.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Which part of a flag's value is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call::secrets) enum Form {
    /// All of it.
    Whole,
    /// What stands behind the first of this sign: `user:password`.
    Behind(char),
    /// What stands behind `pass:`, as OpenSSL has it.
    Pass,
}

/// How a flag and its value stand together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// `-psecret`; `-p secret` means something else.
    Joined,
    /// `-p secret`
    Apart,
    /// Both.
    Either,
}

use Form::{Behind, Pass, Whole};
use Put::{Apart, Either, Joined};

/// A sort of command.
#[derive(Debug)]
pub(super) struct Known {
    names: &'static [&'static str],
    /// Only behind one of these words the flags take a secret; none: always.
    pub needs: &'static [&'static str],
    pub flags: &'static [(&'static str, Put, Form)],
    /// Whether short flags may be written as one word, `-sSu`.
    pub bundles: bool,
    /// Whether every `name=value` behind `needs` is a secret.
    pub assignments: bool,
}

const fn of(
    names: &'static [&'static str],
    needs: &'static [&'static str],
    flags: &'static [(&'static str, Put, Form)],
) -> Known {
    Known { names, needs, flags, bundles: false, assignments: false }
}

/// Words before the name of a variable and its value.
pub(super) const SETTERS: &[&str] = &["set", "setx", "setenv", "-gx", "-Ux", "ENV"];

/// Words of commands that read a secret from their input.
pub(super) const FROM_INPUT: &[&str] = &[
    "--password-stdin",
    "--stdin",
    "--with-token",
    "--passphrase-fd",
    "--from-stdin",
    "chpasswd",
    "passwd",
    "smbpasswd",
    "cryptsetup",
    "kinit",
    "-S",
];

static COMMANDS: &[Known] = &[
    of(
        &[
            "mysql",
            "mysqldump",
            "mysqladmin",
            "mysqlimport",
            "mysqlshow",
            "mysqlcheck",
            "mysqlsh",
            "mariadb",
            "mariadb-dump",
            "mariadb-admin",
        ],
        &[],
        &[("-p", Joined, Whole)],
    ),
    of(&["sshpass"], &[], &[("-p", Either, Whole)]),
    Known {
        bundles: true,
        ..of(
            &["curl", "curlie"],
            &[],
            &[
                ("-u", Either, Behind(':')),
                ("-U", Either, Behind(':')),
                ("--user", Apart, Behind(':')),
                ("--proxy-user", Apart, Behind(':')),
                ("-E", Apart, Behind(':')),
                ("--cert", Apart, Behind(':')),
                ("-b", Apart, Behind('=')),
                ("--cookie", Apart, Behind('=')),
                ("--oauth2-bearer", Apart, Whole),
            ],
        )
    },
    of(&["http", "https", "xh", "xhs", "httpie"], &[], &[("-a", Either, Behind(':')), ("--auth", Apart, Behind(':'))]),
    of(&["wget", "wget2"], &[], &[]),
    of(
        &["docker", "podman", "nerdctl", "crane", "oras", "helm", "regctl", "az", "argocd"],
        &["login"],
        &[("-p", Either, Whole)],
    ),
    of(
        &["skopeo", "buildah"],
        &[],
        &[("--creds", Apart, Behind(':')), ("--src-creds", Apart, Behind(':')), ("--dest-creds", Apart, Behind(':'))],
    ),
    of(&["redis-cli", "valkey-cli", "keydb-cli"], &[], &[("-a", Either, Whole)]),
    of(
        &["mongo", "mongosh", "mongodump", "mongorestore", "mongoimport", "mongoexport", "mongostat"],
        &[],
        &[("-p", Either, Whole)],
    ),
    of(&["sqlcmd", "bcp", "ipmitool", "isql", "osql"], &[], &[("-P", Either, Whole)]),
    of(
        &["ldapsearch", "ldapadd", "ldapmodify", "ldapdelete", "ldapwhoami", "ldapcompare", "ldapmodrdn"],
        &[],
        &[("-w", Either, Whole)],
    ),
    of(&["smbclient", "rpcclient", "winexe", "smbmap"], &[], &[("-U", Either, Behind('%'))]),
    of(&["xfreerdp", "wfreerdp", "xfreerdp3"], &[], &[("/p:", Joined, Whole)]),
    of(&["7z", "7za", "7zz", "rar", "unrar"], &[], &[("-p", Joined, Whole), ("-hp", Joined, Whole)]),
    of(&["zip", "unzip"], &[], &[("-P", Either, Whole)]),
    of(
        &["openssl"],
        &[],
        &[("-passin", Apart, Pass), ("-passout", Apart, Pass), ("-k", Apart, Whole), ("-K", Apart, Whole)],
    ),
    of(&["ldappasswd"], &[], &[("-w", Either, Whole), ("-s", Apart, Whole), ("-a", Apart, Whole)]),
    of(&["ssh-keygen"], &[], &[("-N", Apart, Whole), ("-P", Apart, Whole)]),
    of(&["snmpwalk", "snmpget", "snmpset", "snmpbulkwalk"], &[], &[("-A", Apart, Whole), ("-X", Apart, Whole)]),
    of(&["etcdctl", "influx"], &[], &[("--user", Apart, Behind(':'))]),
    of(&["lftp"], &[], &[("-u", Either, Behind(','))]),
    of(&["evil-winrm", "netexec", "nxc", "crackmapexec"], &[], &[("-p", Either, Whole)]),
    of(&["machine"], &["login"], &[("password", Apart, Whole)]),
    Known { assignments: true, ..of(&["kv"], &["put", "patch"], &[]) },
    Known { assignments: true, ..of(&["secrets"], &["set", "import"], &[]) },
    of(&["kubectl", "oc"], &["secret"], &[("--from-literal", Apart, Behind('='))]),
    of(&["gh", "glab"], &["secret"], &[("--body", Apart, Whole), ("-b", Either, Whole)]),
    of(&["keyvault"], &["secret"], &[("--value", Apart, Whole)]),
    // Their flags are none of those above, which a command before them may have.
    of(&["ssh", "scp", "rsync", "sftp", "psql", "pg_dump", "nc", "mkdir", "cp"], &[], &[]),
];

/// Every word of a text is looked up here.
static BY_NAME: LazyLock<HashMap<&'static str, &'static Known>> =
    LazyLock::new(|| COMMANDS.iter().flat_map(|known| known.names.iter().map(move |name| (*name, known))).collect());

/// The command of that name, whichever way it is called: `/usr/bin/mysql`, `mysql.exe`.
pub(super) fn known(word: &str) -> Option<&'static Known> {
    const LONGEST: usize = 16;
    let name = word.rsplit(['/', '\\']).next()?;
    let name = name.strip_suffix(".exe").unwrap_or(name);
    if name.len() > LONGEST {
        return None;
    }
    BY_NAME.get(name).copied()
}
