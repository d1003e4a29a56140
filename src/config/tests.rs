//! placet.toml, right and wrong.
