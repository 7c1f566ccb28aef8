//! `POST /api/v1/devices/import`.

use std::collections::BTreeMap;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use csv::{ReaderBuilder, StringRecord};
use serde::Serialize;
use utoipa::ToSchema;

use super::{DeviceFields, enter};
use crate::http::HttpState;
use crate::http::error::{Problem, kinds};
use crate::http::extract::{read_body, require_type};
use crate::model::{AuditActor, Device, EndpointName};

const COLUMNS: [&str; 5] = ["endpoint", "manufacturer", "model", "device_type", "tags"];

/// How many devices were entered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Imported {
    /// All rows of the file.
    imported: usize,
}

/// Enters the devices of a CSV file, all or none. The first line names the columns: `endpoint`, and
/// any of `manufacturer`, `model`, `device_type`, `tags` (separated by `;`). Empty is not known.
#[utoipa::path(post, path = "/api/v1/devices/import", tag = "devices",
    request_body(content = String, content_type = "text/csv"),
    responses((status = 201, description = "All entered", body = Imported)))]
pub(crate) async fn import_devices(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    request: Request,
) -> Result<(StatusCode, Json<Imported>), Problem> {
    require_type(request.headers(), "text/csv")?;
    let body = read_body(request, state.limits.import_bytes_max).await?;
    let devices = parse_csv(&state, &body)?;
    let imported = devices.len();
    enter(&state, actor, devices).await?;
    Ok((StatusCode::CREATED, Json(Imported { imported })))
}

fn parse_csv(state: &HttpState, body: &[u8]) -> Result<Vec<Device>, Problem> {
    // Spreadsheets put a byte order mark first.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut reader = ReaderBuilder::new().from_reader(body);
    let columns = Columns::parse(reader.headers().map_err(malformed)?)?;
    let rows_max = state.limits.import_rows_max;
    let mut devices = Vec::new();
    let mut lines: BTreeMap<EndpointName, u64> = BTreeMap::new();
    for row in reader.records() {
        let row = row.map_err(malformed)?;
        let line = row.position().map_or(0, csv::Position::line);
        if devices.len() == rows_max {
            return Err(at_line(
                line,
                &format!("a file may have at most {rows_max} rows"),
            ));
        }
        let device = columns
            .fields(&row)
            .parse(state)
            .map_err(|problem| problem.at_line(line))?;
        if let Some(first) = lines.insert(device.endpoint.clone(), line) {
            let fault = format!("endpoint: '{}' is in line {first} too", device.endpoint);
            return Err(at_line(line, &fault).with_field("endpoint"));
        }
        devices.push(device);
    }
    if devices.is_empty() {
        return Err(Problem::new(kinds::INVALID_CSV, "the file has no rows"));
    }
    Ok(devices)
}

/// Where each of [`COLUMNS`] stands in a row.
struct Columns([Option<usize>; COLUMNS.len()]);

impl Columns {
    fn parse(header: &StringRecord) -> Result<Self, Problem> {
        let mut places = [None; COLUMNS.len()];
        for (place, name) in header.iter().enumerate() {
            let Some(index) = COLUMNS.iter().position(|known| *known == name.trim()) else {
                let fault = format!("'{name}' is no column; they are {}", COLUMNS.join(", "));
                return Err(at_line(1, &fault).with_field(name));
            };
            if places[index].replace(place).is_some() {
                return Err(at_line(1, &format!("column '{name}' is there twice")));
            }
        }
        if places[0].is_none() {
            return Err(at_line(1, "column 'endpoint' is missing").with_field("endpoint"));
        }
        Ok(Self(places))
    }

    fn fields<'a>(&self, row: &'a StringRecord) -> DeviceFields<'a> {
        let [endpoint, manufacturer, model, device_type, tags] = self.0.map(|place| {
            row.get(place?)
                .map(str::trim)
                .filter(|text| !text.is_empty())
        });
        DeviceFields {
            endpoint: endpoint.unwrap_or(""),
            manufacturer,
            model,
            device_type,
            tags: tags
                .into_iter()
                .flat_map(|tags| tags.split(';'))
                .map(|tag| tag.trim().to_owned())
                .filter(|tag| !tag.is_empty())
                .collect(),
        }
    }
}

fn at_line(line: u64, fault: &str) -> Problem {
    Problem::new(kinds::INVALID_CSV, format!("line {line}: {fault}"))
}

fn malformed(error: csv::Error) -> Problem {
    let line = error.position().map_or(1, csv::Position::line);
    at_line(line, &error.to_string())
}
