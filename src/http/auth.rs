//! Who may do what: bearer tokens (RFC 6750), and the one table of what each route needs.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::HttpState;
use super::error::{Problem, kinds};
use crate::model::AuditActor;
use crate::store::{StoreError, StoredToken};

/// What a token's holder may do: each of the first four may do what those before it may. A key
/// administrator stands beside them, so that who enters keys is not who uploads and activates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Enters devices, groups, packages, profiles and drafts; stops campaigns; asks devices.
    Operator,
    /// Activates campaigns, and has them run again; says how a product's devices are treated, and takes its profile away.
    Approver,
    /// Makes and removes tokens; reads the audit log.
    Admin,
    /// Enters, retires and revokes manufacturers' keys.
    KeyAdmin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [
        Self::Viewer,
        Self::Operator,
        Self::Approver,
        Self::Admin,
        Self::KeyAdmin,
    ];

    /// Its word in the store, in JSON and on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Admin => "admin",
            Self::KeyAdmin => "key-admin",
        }
    }

    /// The role with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// Whether somebody may say that a campaign's updates begin, where a route is open to others too.
pub(super) fn approves(actor: &AuditActor) -> bool {
    let role = Role::from_word(&actor.role);
    role.is_some_and(|role| Access::AtLeast(Role::Approver).allows(role))
}

/// The name of the token that a request came with: who did it, for the log.
#[derive(Clone, Debug)]
pub(super) struct TokenName(pub(super) String);

/// The SHA-256 of the token that a request came with, for an answer that outlasts it.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenSha256([u8; 32]);

/// Whether a token still lets its holder read what viewers may.
pub(super) async fn still_reads(state: &HttpState, token: &TokenSha256) -> bool {
    match state.store.token(&token.0).await {
        Ok(stored) => Role::from_word(&stored.role)
            .is_some_and(|role| Access::AtLeast(Role::Viewer).allows(role)),
        Err(StoreError::NotFound) => false,
        // Not known just now: what was let in stays until it is.
        Err(_) => true,
    }
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody, without a token.
    Public,
    /// As configured: everybody, or as [`Access::AtLeast`] a viewer.
    Metrics,
    /// This role and those above it; not the key administrator.
    AtLeast(Role),
    /// The key administrator, and an admin.
    KeyAdmin,
    /// Viewers and above, and the key administrator.
    AnyRole,
}

impl Access {
    fn allows(self, role: Role) -> bool {
        match (self, role) {
            (Self::Public | Self::AnyRole, _) => true,
            // An admin can make a key administrator's token: a refusal would protect nothing.
            (Self::KeyAdmin, role) => matches!(role, Role::KeyAdmin | Role::Admin),
            (Self::AtLeast(_) | Self::Metrics, Role::KeyAdmin) => false,
            (Self::Metrics, _) => true,
            (Self::AtLeast(least), role) => role >= least,
        }
    }

    /// Which role is needed, in words.
    pub(super) fn description(self) -> String {
        match self {
            Self::Public => "no token".to_owned(),
            Self::Metrics => "role viewer, unless metrics.public is set".to_owned(),
            Self::AnyRole => "any role".to_owned(),
            Self::AtLeast(role) => format!("role {} or above", role.word()),
            Self::KeyAdmin => "role key-admin or admin".to_owned(),
        }
    }
}

/// What a viewer may read.
const READ_BY_VIEWERS: &[&str] = &[
    "/api/v1/packages",
    "/api/v1/packages/{id}",
    "/api/v1/packages/{id}/links",
    "/api/v1/profiles",
    "/api/v1/profiles/{id}",
    "/api/v1/profiles/{id}/settings",
    "/api/v1/quirks",
    "/api/v1/devices",
    "/api/v1/devices/{endpoint}",
    "/api/v1/devices/{endpoint}/timeline",
    "/api/v1/devices/{endpoint}/why",
    "/api/v1/devices/{endpoint}/requests",
    "/api/v1/devices/{endpoint}/requests/{id}",
    "/api/v1/devices/{endpoint}/uplinks",
    "/api/v1/groups",
    "/api/v1/groups/{id}",
    "/api/v1/groups/{id}/devices",
    "/api/v1/campaigns",
    "/api/v1/campaigns/{id}",
    "/api/v1/campaigns/{id}/tasks",
    "/api/v1/cells",
    "/api/v1/cells/tiers",
    "/api/v1/events",
];

/// What only an admin may do, whatever the method.
const WEBHOOKS: &[&str] = &[
    "/api/v1/webhooks",
    "/api/v1/webhooks/{id}",
    "/api/v1/webhooks/{id}/test",
    "/api/v1/webhooks/{id}/deliveries",
    "/api/v1/webhooks/{id}/deliveries/{number}/redeliver",
];

/// What each route needs. A route that does not stand here is closed to everybody.
pub(super) fn access(method: &Method, path: &str) -> Option<Access> {
    use Role::{Admin, Approver, Operator, Viewer};
    let method = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    Some(match (method.as_str(), path) {
        ("GET", "/healthz" | "/readyz" | "/openapi.json") => Access::Public,
        ("GET", "/metrics") => Access::Metrics,

        ("GET", "/api/v1/keys" | "/api/v1/keys/{id}") => Access::AnyRole,
        ("POST", "/api/v1/keys" | "/api/v1/keys/{id}/retire" | "/api/v1/keys/{id}/revoke") => {
            Access::KeyAdmin
        }

        ("GET", path) if READ_BY_VIEWERS.contains(&path) => Access::AtLeast(Viewer),

        // A read costs the device radio and power.
        ("GET" | "PUT" | "POST", "/api/v1/devices/{endpoint}/resources/{*path}")
        | (
            "POST",
            "/api/v1/packages"
            | "/api/v1/packages/{id}/links"
            | "/api/v1/profiles"
            | "/api/v1/devices"
            | "/api/v1/devices/import"
            | "/api/v1/devices/{endpoint}/downlinks"
            | "/api/v1/groups"
            | "/api/v1/groups/{id}/devices"
            | "/api/v1/campaigns"
            | "/api/v1/campaigns/{id}/stop"
            | "/api/v1/campaigns/{id}/retry"
            | "/api/v1/campaigns/{id}/consent"
            | "/api/v1/campaigns/{id}/archive"
            | "/api/v1/campaigns/{id}/tasks/{task}/stop"
            | "/api/v1/campaigns/{id}/tasks/{task}/consent"
            | "/api/v1/campaigns/{id}/pause"
            | "/api/v1/campaigns/{id}/halt"
            | "/api/v1/halt",
        )
        | (
            "PUT",
            "/api/v1/devices/{endpoint}" | "/api/v1/groups/{id}" | "/api/v1/groups/{id}/devices",
        )
        // Of an active campaign an approver does, as one has an ended campaign retried: see there.
        | ("PATCH", "/api/v1/packages/{id}" | "/api/v1/campaigns/{id}")
        | (
            "DELETE",
            "/api/v1/packages/{id}"
            | "/api/v1/packages/{id}/links/{link}"
            | "/api/v1/groups/{id}"
            | "/api/v1/groups/{id}/devices"
            | "/api/v1/groups/{id}/devices/{endpoint}"
            | "/api/v1/campaigns/{id}"
            | "/api/v1/campaigns/{id}/archive"
            | "/api/v1/devices/{endpoint}"
            | "/api/v1/devices/{endpoint}/bar"
            | "/api/v1/devices/{endpoint}/requests/{id}",
        ) => Access::AtLeast(Operator),

        // A product's settings are those of its active campaigns too.
        (
            "POST",
            "/api/v1/campaigns/{id}/activate"
            | "/api/v1/campaigns/{id}/approve"
            | "/api/v1/campaigns/{id}/resume",
        )
        | ("PUT" | "PATCH", "/api/v1/profiles/{id}/settings")
        | ("DELETE", "/api/v1/profiles/{id}") => Access::AtLeast(Approver),

        ("GET", "/api/v1/audit" | "/api/v1/audit/head" | "/api/v1/tokens")
        | ("POST", "/api/v1/tokens")
        | ("DELETE", "/api/v1/tokens/{name}") => Access::AtLeast(Admin),
        // A webhook has the server connect somewhere, and its address may hold a secret of the receiver's.
        (_, path) if WEBHOOKS.contains(&path) => Access::AtLeast(Admin),
        _ => return None,
    })
}

/// SHA-256 of a token's text: what the store keeps of it.
pub fn token_sha256(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Lets a request through to its handler, before any of its body is read.
pub(super) async fn authorize(
    State(state): State<HttpState>,
    path: MatchedPath,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(access) = access(request.method(), path.as_str()) else {
        return Err(Problem::new(kinds::FORBIDDEN, "nobody may use this route"));
    };
    let public = access == Access::Public || (access == Access::Metrics && state.metrics_public);
    if !public {
        let (role, name, sha256) = authenticate(&state, request.headers()).await?;
        if !access.allows(role) {
            let detail = format!(
                "this needs {}; the token has role {}",
                access.description(),
                role.word()
            );
            return Err(Problem::new(kinds::FORBIDDEN, detail));
        }
        let actor = AuditActor {
            name: name.0.clone(),
            role: role.word().to_owned(),
        };
        request.extensions_mut().insert(actor);
        request.extensions_mut().insert(name);
        request.extensions_mut().insert(sha256);
        request.extensions_mut().insert(role);
    }
    Ok(next.run(request).await)
}

/// The role, the name and the hash of the request's token.
async fn authenticate(
    state: &HttpState,
    headers: &HeaderMap,
) -> Result<(Role, TokenName, TokenSha256), Problem> {
    let unauthenticated = |detail| Problem::new(kinds::UNAUTHENTICATED, detail);
    let token = bearer(headers)
        .ok_or_else(|| unauthenticated("the request has no 'Authorization: Bearer <token>'"))?;
    let sha256 = token_sha256(token);
    let stored: StoredToken = match state.store.token(&sha256).await {
        Ok(stored) => stored,
        Err(StoreError::NotFound) => return Err(unauthenticated("the token is not known")),
        Err(error) => return Err(Problem::of_store(error, "token")),
    };
    // What was looked up is a hash, so the look-up's time tells nothing of a token's text; a store
    // that compared only a part of it must not let anyone in either.
    if !bool::from(stored.sha256.ct_eq(&sha256)) {
        return Err(unauthenticated("the token is not known"));
    }
    let role = Role::from_word(&stored.role)
        .ok_or_else(|| Problem::new(kinds::FORBIDDEN, "the token's role is not known"))?;
    Ok((role, TokenName(stored.name), TokenSha256(sha256)))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()).then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_may_what_those_below_it_may() {
        let operator = Access::AtLeast(Role::Operator);
        assert!(!operator.allows(Role::Viewer));
        assert!(operator.allows(Role::Operator));
        assert!(operator.allows(Role::Admin));
        assert!(!operator.allows(Role::KeyAdmin));
    }

    #[test]
    fn only_the_key_administrator_enters_keys() {
        for role in Role::ALL {
            assert_eq!(
                Access::KeyAdmin.allows(role),
                matches!(role, Role::KeyAdmin | Role::Admin)
            );
        }
    }

    #[test]
    fn a_route_that_is_not_listed_is_closed() {
        assert_eq!(access(&Method::DELETE, "/api/v1/keys"), None);
        assert_eq!(access(&Method::GET, "/api/v1/secrets"), None);
    }

    #[test]
    fn words_are_read_back() {
        for role in Role::ALL {
            assert_eq!(Role::from_word(role.word()), Some(role));
        }
    }
}
