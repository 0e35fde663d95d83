//! What somebody may have meant.

/// What is said about a name that is not known: the nearest one that is, or all of them.
pub(crate) fn advice(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("did you mean {near}?"),
        None if known.is_empty() => "there are none here".to_owned(),
        None => format!("the known ones are {}", known.join(", ")),
    }
}

/// The known name that is the fewest typing errors away, if those are few for its length.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = name.to_lowercase();
    let distance = |known: &str| strsim::osa_distance(&name, &known.to_lowercase());
    let (found, errors) = known.iter().map(|known| (*known, distance(known))).min_by_key(|found| found.1)?;
    (errors <= found.len().div_ceil(4)).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_gets_the_name_that_was_meant_and_another_name_gets_them_all() {
        let known = ["startupTimeLimit", "shutdownTimeLimit", "arguments"];
        assert_eq!(advice("StartUpTimelimit", &known), "did you mean startupTimeLimit?");
        assert_eq!(advice("shudownTimeLimit", &known), "did you mean shutdownTimeLimit?");
        assert_eq!(advice("argumetns", &known), "did you mean arguments?");
        assert_eq!(
            advice("colour", &known),
            "the known ones are startupTimeLimit, shutdownTimeLimit, arguments"
        );
        assert_eq!(advice("colour", &[]), "there are none here");
    }
}
