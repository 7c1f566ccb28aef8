//! The OpenAPI document.

use std::collections::BTreeSet;

use narrowcast::http::openapi;
use reqwest::Method;
use serde_json::Value;

use crate::service::{Service, send};

#[test]
fn the_document_is_as_reviewed() {
    insta::assert_snapshot!(openapi().to_pretty_json().expect("JSON"));
}

#[tokio::test]
async fn the_document_is_served_to_everybody() {
    let service = Service::start().await;
    let answer = send(service.anonymous(Method::GET, "/openapi.json")).await;
    let document = answer.expect(200);
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(answer.header("content-type"), "application/json");
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_its_own_id() {
    let document = serde_json::to_value(openapi()).expect("JSON");
    let mut references = BTreeSet::new();
    collect(&document, "$ref", &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("a local reference");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let operations = document["paths"].as_object().expect("paths").values();
    let operations = operations.flat_map(|item| item.as_object().expect("operations").values());
    let ids: Vec<_> = operations
        .map(|operation| operation["operationId"].to_string())
        .collect();
    let distinct: BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
}

fn collect(value: &Value, key: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(text)) = fields.get(key) {
                found.insert(text.clone());
            }
            fields.values().for_each(|value| collect(value, key, found));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, key, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
