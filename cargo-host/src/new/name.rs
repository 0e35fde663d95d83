//! Which names cargo takes for a crate with a program.

/// Names that the language, cargo's folders or Windows have taken.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "hosting",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "Self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "tokio",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
    "axum",
    "tonic",
    "tonic-prost",
    "prost",
    "serde",
    "_",
];

/// Says what is wrong with a name.
pub(super) fn check(name: &str) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("{name:?} cannot be the name of a crate: {why}"));
    let Some(first) = name.chars().next() else { return wrong("it is empty") };
    if !(first.is_ascii_alphabetic() || first == '_') {
        return wrong("it starts with a letter or with _");
    }
    if let Some(letter) =
        name.chars().find(|letter| !(letter.is_ascii_alphanumeric() || "-_".contains(*letter)))
    {
        return wrong(&format!("it has letters, digits, - and _, and not {letter:?}"));
    }
    if TAKEN.contains(&name) || is_device(&name.to_ascii_lowercase()) {
        return wrong("Rust, cargo, Windows or a dependency has taken it");
    }
    Ok(())
}

/// `con`, `com1` and the like, which are devices on Windows.
fn is_device(name: &str) -> bool {
    if ["con", "prn", "aux", "nul"].contains(&name) {
        return true;
    }
    let number = name.strip_prefix("com").or_else(|| name.strip_prefix("lpt"));
    number.is_some_and(|number| {
        number.len() == 1 && number != "0" && number.chars().all(|digit| digit.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_cargos_rules() {
        for name in ["app", "_app", "my-app", "My_App2", "com", "com10"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for name in [
            "", "2app", "-app", "a.b", "a b", "ü", "fn", "test", "core", "hosting", "COM1", "Con", "a/b", "_",
        ] {
            assert!(check(name).is_err(), "{name}");
        }
    }
}
