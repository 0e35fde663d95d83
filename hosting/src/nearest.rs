//! What somebody may have meant who wrote a name that nobody reads.

/// The known name that is one typing error away, or two if both are long; none for a name that is known itself.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONG: usize = 7;
    let name = name.to_lowercase();
    let distance = |known: &str| strsim::osa_distance(&name, &known.to_lowercase());
    let (found, errors) = known.into_iter().map(|known| (known, distance(known))).min_by_key(|it| it.1)?;
    let allowed = if name.len().min(found.len()) < LONG { 1 } else { 2 };
    (1..=allowed).contains(&errors).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_is_near_and_another_word_is_not() {
        let known = ["Endpoints", "Kestrel", "Logging", "urls"];
        let near = |name: &str| nearest(name, known);
        assert_eq!(near("Endpoint"), Some("Endpoints"));
        assert_eq!(near("endpionts"), Some("Endpoints"));
        assert_eq!(near("Kesterel"), Some("Kestrel"));
        assert_eq!(near("url"), Some("urls"));
        for other in ["Kestrel", "KESTREL", "Login", "Shop", "url_s_", ""] {
            assert_eq!(near(other), None, "{other}");
        }
        assert_eq!(nearest("a", []), None);
    }
}
