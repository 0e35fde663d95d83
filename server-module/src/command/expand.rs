/// Replaces variables between `%`, as Windows does: `%HOME%/shop` by what `variable` says about `HOME`.
///
/// A variable that is not set stays as it was written, as does a single `%`. What is put in is not looked at again.
///
/// ```
/// use server_module::command::expand;
/// let variable = |name: &str| (name == "HOME").then(|| "/home/shop".to_owned());
/// assert_eq!(expand("%HOME%/data %UNSET% 100%", variable), "/home/shop/data %UNSET% 100%");
/// ```
#[doc(alias = "ExpandEnvironmentStrings")]
#[must_use]
pub fn expand(text: &str, mut variable: impl FnMut(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        expanded.push_str(before);
        let Some((name, behind)) = after.split_once('%') else {
            expanded.push('%');
            rest = after;
            break;
        };
        match variable(name) {
            Some(value) if !name.is_empty() => expanded.push_str(&value),
            _ => {
                expanded.push('%');
                expanded.push_str(name);
                expanded.push('%');
            }
        }
        rest = behind;
    }
    expanded.push_str(rest);
    expanded
}

/// The names between `%` that no variable has, and that could be names.
pub(crate) fn unset_variables(text: &str, variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut unset = Vec::new();
    let _expanded = expand(text, |name| {
        let value = variable(name);
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if value.is_none() && is_name {
            unset.push(name.to_owned());
        }
        value
    });
    unset
}

/// The value of a variable among names and values: that of the very name, else of one that differs in case only, since
/// `web.config` comes from a system where case does not matter.
#[must_use]
pub fn lookup<'a>(variables: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let exact = variables.iter().find(|(known, _)| known == name);
    let found = exact.or_else(|| variables.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)));
    found.map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_and_everything_else_stays() {
        let variables =
            [("A", "1"), ("Path", "/bin"), ("PATH", "/usr/bin"), ("Nested", "%A%"), ("Empty", "")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let cases = [
            ("", ""),
            ("plain", "plain"),
            ("%A%", "1"),
            ("x%A%y%A%z", "x1y1z"),
            ("%a%", "1"),
            ("%Path%:%PATH%", "/bin:/usr/bin"),
            ("%Nested%", "%A%"),
            ("%Empty%.", "."),
            ("%Unset%", "%Unset%"),
            ("%Unset%A%", "%Unset%A%"),
            ("%%", "%%"),
            ("%%A%%", "%%A%%"),
            ("%", "%"),
            ("100% of %A%", "100% of %A%"),
            ("50% %A", "50% %A"),
            ("é%A%ü", "é1ü"),
        ];
        for (text, expected) in cases {
            let expanded = expand(text, |name| lookup(&variables, name).map(str::to_owned));
            assert_eq!(expanded, expected, "{text}");
        }
    }
}
