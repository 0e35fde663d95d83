use std::borrow::Cow;
use std::sync::Arc;

use http::Request;
use http::uri::{PathAndQuery, Uri};

use crate::{HttpPathBaseFeature, HttpRequestFeature, PathBase, RequestFeatures, decode_path};

/// Moves a prefix from the path of a request to its path base; false, and nothing is changed, if the request does not lie
/// below it.
///
/// The prefix begins with `/` and does not end with it. It is compared with the decoded path, whole segments only and
/// regardless of case; the path base gets what the request says. What follows stays as it was sent.
///
/// ```
/// use server_abstractions::{HttpRequestFeature, take_path_base};
/// let mut request = http::Request::get("/API/a%20b?c").body(()).unwrap();
/// assert!(take_path_base(&mut request, "/api"));
/// assert_eq!((&*request.path_base(), request.uri().to_string()), ("/API", "/a%20b?c".to_owned()));
/// assert_eq!(request.raw_target(), "/API/a%20b?c");
/// ```
pub fn take_path_base<B>(request: &mut Request<B>, prefix: &str) -> bool {
    let Some((base, uri)) = split_path(request.uri(), prefix) else { return false };
    let path_base = PathBase { path_base: request.path_base() + &base, raw_target: request.raw_target() };
    request.features_mut().set::<dyn HttpPathBaseFeature>(Arc::new(path_base));
    *request.uri_mut() = uri;
    true
}

/// The part of the decoded path that equals the prefix, and the address without it.
fn split_path(uri: &Uri, prefix: &str) -> Option<(String, Uri)> {
    let path = uri.path();
    if !path.starts_with('/') {
        return None;
    }
    let decoded = decode_path(path);
    let (base, rest) = decoded.split_at_checked(prefix.len())?;
    if !base.eq_ignore_ascii_case(prefix) || !(rest.is_empty() || rest.starts_with('/')) {
        return None;
    }
    let end = match &decoded {
        // Nothing was decoded.
        Cow::Borrowed(_) => prefix.len(),
        Cow::Owned(_) => raw_end(path, prefix.matches('/').count())?,
    };
    let rest = if end == path.len() { "/" } else { &path[end..] };
    let target = match uri.query() {
        Some(query) => format!("{rest}?{query}"),
        None => rest.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Some((base.to_owned(), Uri::from_parts(parts).ok()?))
}

/// Where in the raw path the segment ends that is the `count`-th one of the decoded path, so that what follows stays
/// as it was sent.
fn raw_end(path: &str, count: usize) -> Option<usize> {
    // The raw ends of the segments that are left when dot segments are taken out.
    let mut ends = Vec::new();
    let mut end = 0;
    for segment in path.split('/').skip(1) {
        end += 1 + segment.len();
        match &*decode_path(segment) {
            "." => {}
            ".." => drop(ends.pop()),
            _ => ends.push(end),
        }
    }
    ends.get(count.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(uri: &str, prefix: &str) -> Option<(String, String)> {
        split_path(&uri.parse().unwrap(), prefix).map(|(base, uri)| (base, uri.to_string()))
    }

    #[test]
    fn a_prefix_is_whole_segments_regardless_of_case() {
        let some = |base: &str, uri: &str| Some((base.to_owned(), uri.to_owned()));
        assert_eq!(split("/api/x?q=1", "/api"), some("/api", "/x?q=1"));
        assert_eq!(split("/API", "/api"), some("/API", "/"));
        assert_eq!(split("/api/", "/api"), some("/api", "/"));
        assert_eq!(split("/apis", "/api"), None);
        assert_eq!(split("/", "/api"), None);
        assert_eq!(split("/%61pi/a%20b%2Fc", "/api"), some("/api", "/a%20b%2Fc"));
        assert_eq!(split("/x/../api/y", "/api"), some("/api", "/y"));
        assert_eq!(split("/api/../x", "/api"), None);
        assert_eq!(split("http://h/api/x", "/api"), some("/api", "http://h/x"));
        assert_eq!(split("/caf%C3%A9/x", "/café"), some("/café", "/x"));
        assert_eq!(split("/a/b/c", "/a/b"), some("/a/b", "/c"));
    }
}
