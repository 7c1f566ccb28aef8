//! The OpenAPI 3.1 document, generated from the routes.

use axum::http::Method;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, Ref, RefOr,
    ResponseBuilder, Type,
};

use super::auth::{Access, access};
use super::router::routes;

const TOKEN_SCHEME: &str = "token";
const PROBLEM_SCHEMA: &str = "Problem";

/// The document of this version's API.
pub fn openapi() -> OpenApi {
    complete(routes().into_openapi())
}

/// The document that the routes' own annotations are added to.
pub(super) fn base() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Narrowcast")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Firmware updates for private NB-IoT networks. Lists are JSON arrays in pages: \
             `limit`, `cursor`, and `Link: rel=\"next\"` where more follows. Times are RFC 3339 in \
             UTC. Every error is a problem (RFC 9457) with a stable `code`. What can be changed has an \
             `ETag`, which a change may name in `If-Match`.",
        ))
        .build();
    let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    let mut components = Components::new();
    components.add_security_scheme(TOKEN_SCHEME, scheme);
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .build()
}

/// Adds what holds for every operation: its role, and that it may answer with a problem.
fn complete(mut document: OpenApi) -> OpenApi {
    for (path, item) in &mut document.paths.paths {
        let operations = [
            (Method::GET, &mut item.get),
            (Method::POST, &mut item.post),
            (Method::PUT, &mut item.put),
            (Method::PATCH, &mut item.patch),
            (Method::DELETE, &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                complete_operation(operation, access(&method, path));
                if method == Method::PUT || method == Method::PATCH {
                    operation
                        .parameters
                        .get_or_insert_default()
                        .push(RefOr::T(if_match()));
                }
            }
        }
    }
    // axum's word for the rest of a path is not OpenAPI's.
    let paths = std::mem::take(&mut document.paths.paths).into_iter();
    document.paths.paths = paths
        .map(|(path, item)| (path.replace("{*", "{"), item))
        .collect();
    document
}

fn complete_operation(operation: &mut Operation, access: Option<Access>) {
    let Some(access) = access else { return };
    let needs = format!("Needs {}.", access.description());
    operation.description = Some(match operation.description.take() {
        Some(text) if !text.is_empty() => format!("{text}\n\n{needs}"),
        Some(_) | None => needs,
    });
    if access == Access::Public {
        return;
    }
    operation.security = Some(vec![SecurityRequirement::new(
        TOKEN_SCHEME,
        Vec::<String>::new(),
    )]);
    let problem = ResponseBuilder::new()
        .description("A problem")
        .content(
            "application/problem+json",
            ContentBuilder::new()
                .schema(Some(Ref::from_schema_name(PROBLEM_SCHEMA)))
                .build(),
        )
        .build();
    operation
        .responses
        .responses
        .insert("default".to_owned(), RefOr::T(problem));
}

/// What each change may rest on.
fn if_match() -> Parameter {
    ParameterBuilder::new()
        .name("If-Match")
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "The ETag of a GET of the same path: where that is another by now, the answer is 412 `stale` and \
             nothing is changed.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_its_role_in_the_table() {
        for (path, item) in &routes().into_openapi().paths.paths {
            for (method, operation) in [
                (Method::GET, &item.get),
                (Method::POST, &item.post),
                (Method::PUT, &item.put),
                (Method::PATCH, &item.patch),
                (Method::DELETE, &item.delete),
            ] {
                assert!(
                    operation.is_none() || access(&method, path).is_some(),
                    "{method} {path} is closed to everybody"
                );
            }
        }
    }
}
