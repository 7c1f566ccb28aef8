//! `GET /api/v1/quirks`.

use axum::Json;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::http::language::Preferred;
use crate::profile::{QuirkSet, setting_json};

/// What is known of one kind of module, as settings that a product can rest on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QuirkSet)]
pub(crate) struct QuirkSetView {
    /// What a product's `quirks` names.
    name: &'static str,
    /// What it is of.
    title: &'static str,
    /// Beginnings of the models that it is offered for.
    models: &'static [String],
    /// Why, and where that is from, in the language of the request.
    says: &'static str,
    /// The settings.
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
}

/// Lists the quirk sets of known modules, by name.
#[utoipa::path(get, path = "/api/v1/quirks", tag = "profiles",
    responses((status = 200, description = "The sets", body = Vec<QuirkSetView>)))]
pub(crate) async fn list_quirks(Preferred(language): Preferred) -> Json<Vec<QuirkSetView>> {
    let view = |set: &'static QuirkSet| QuirkSetView {
        name: &set.name,
        title: &set.title,
        models: &set.models,
        says: set.says(language),
        settings: set
            .changes
            .iter()
            .map(|(setting, value)| (setting.word().to_owned(), setting_json(value)))
            .collect(),
    };
    Json(QuirkSet::all().iter().map(view).collect())
}
