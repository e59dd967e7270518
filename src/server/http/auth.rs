//! Who may read metrics and use the API: clients that give `requirepass` as a basic or bearer password.

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Node, problem};
use crate::config::HttpAuth;
use crate::server::metrics;

/// What is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    Metrics,
    Api,
    /// What stops a node: asks for the password whatever `http-auth` says.
    Drain,
}

/// Where a request came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct From(pub(super) SocketAddr);

/// Lets a request through, or answers 401 or 403.
pub(super) async fn check(
    State((shared, guard)): State<(Node, Guard)>,
    request: Request,
    next: Next,
) -> Response {
    match refusal(&shared, guard, &request) {
        None => next.run(request).await,
        Some(refused) => refused,
    }
}

fn refusal(shared: &Node, guard: Guard, request: &Request) -> Option<Response> {
    let headers = request.headers();
    // Pages of other sites may make a browser send this request, with no answer for them.
    if guard == Guard::Drain && headers.contains_key(header::ORIGIN) {
        let error = "this is not for browsers";
        return Some(problem(StatusCode::FORBIDDEN, error));
    }
    let driver = shared.driver.lock();
    let config = &driver.config;
    let asks = match config.http_auth {
        HttpAuth::All => true,
        HttpAuth::Api => guard != Guard::Metrics,
        HttpAuth::None => guard == Guard::Drain,
    };
    if !asks {
        return None;
    }
    let Some(password) = &config.requirepass else {
        // Strangers are kept out as from the other port; nobody who is one may stop a node.
        let remote = request.extensions().get::<From>();
        let loopback = remote.is_some_and(|from| from.0.ip().to_canonical().is_loopback());
        let open = loopback || guard != Guard::Drain && !config.protected_mode;
        let error = "no password is set, so other machines are kept out: set requirepass";
        return (!open).then(|| problem(StatusCode::FORBIDDEN, error));
    };
    let header = headers.get(header::AUTHORIZATION);
    let given = header.and_then(given_password);
    if given.is_some_and(|given| password.matches(&given)) {
        return None;
    }
    drop(driver);
    if header.is_some() {
        metrics::note_auth_failure();
    }
    let error = "this needs the password of requirepass, as a basic or bearer one";
    let mut answer = problem(StatusCode::UNAUTHORIZED, error);
    let scheme = HeaderValue::from_static("Basic realm=\"shoalmq\", charset=\"UTF-8\"");
    let headers = answer.headers_mut();
    headers.insert(header::WWW_AUTHENTICATE, scheme);
    Some(answer)
}

/// The password of an `Authorization` header; any user name will do.
fn given_password(header: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, rest) = header.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.as_bytes().to_vec());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(rest).ok()?;
    let colon = decoded.iter().position(|&byte| byte == b':')?;
    Some(decoded[colon + 1..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_come_basic_or_bearer() {
        let given = |text: &'static str| given_password(&HeaderValue::from_static(text));
        assert_eq!(given("Bearer secret"), Some(b"secret".to_vec()));
        assert_eq!(given("bearer  secret"), Some(b"secret".to_vec()));
        // default:a:b
        assert_eq!(given("Basic ZGVmYXVsdDphOmI="), Some(b"a:b".to_vec()));
        for wrong in ["Basic", "Basic !", "Basic c2VjcmV0", "Digest x", "secret"] {
            assert_eq!(given(wrong), None, "{wrong}");
        }
    }
}
