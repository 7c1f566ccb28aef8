//! Product profiles.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::audit::append_if;
use super::error::{or_conflict, store_error};
use super::rows::{Columns, integer, select};
use super::writer::Writer;
use crate::model::{
    AuditStamp, DeviceModel, DeviceType, Manufacturer, Product, ProfileId, Setting, SettingChanges,
    protocol_family,
};
use crate::store::{StoreError, StoredProfile, audit};

const PRODUCT: &str = "id, device_type, manufacturer, model, protocol, quirks, settings";
const PROFILE: &str = "id, device_type, manufacturer, model, protocol, quirks, settings, document, \
                       services, created_at, created_by";

pub(super) async fn add_profile(
    writer: &Arc<Writer>,
    profile: StoredProfile,
    stamp: &AuditStamp,
) -> Result<ProfileId, StoreError> {
    let product = &profile.product;
    let mut write = writer.begin().await?;
    let added = sqlx::query(
        "INSERT INTO profiles
             (device_type, manufacturer, model, protocol, family, quirks, settings, document,
              services, created_at, created_by)
         VALUES (?,?,?,?,?,?,?,?,?,?,?) RETURNING id",
    )
    .bind(product.device_type.as_str().to_owned())
    .bind(product.manufacturer.as_str().to_owned())
    .bind(product.model.as_str().to_owned())
    .bind(product.protocol.clone())
    .bind(protocol_family(&product.protocol).to_owned())
    .bind(product.quirks.clone())
    .bind(settings_text(&product.changes))
    .bind(profile.document.clone())
    .bind(profile.services.clone())
    .bind(profile.created_at.unix_ms())
    .bind(profile.created_by.clone())
    .try_map(|row| Ok(ProfileId(Columns::of(&row).number()?)))
    .fetch_one(write.connection())
    .await
    .map_err(or_conflict(StoredProfile::SAME_PRODUCT));
    let id = added.as_ref().ok();
    let entry = id.map(|id| audit::profile_created(*id, product, stamp));
    let added = append_if(write.connection(), added, entry).await;
    write.finish(1, added).await
}

pub(super) async fn profile(
    readers: &SqlitePool,
    id: ProfileId,
) -> Result<StoredProfile, StoreError> {
    sqlx::query(select(PROFILE, "FROM profiles WHERE id = ?"))
        .bind(integer(id.0))
        .try_map(|row| read(&row))
        .fetch_one(readers)
        .await
        .map_err(store_error)
}

pub(super) async fn products(readers: &SqlitePool) -> Result<Vec<Product>, StoreError> {
    let mut connection = readers.acquire().await.map_err(store_error)?;
    all(&mut connection).await.map_err(store_error)
}

pub(super) async fn products_of(
    readers: &SqlitePool,
    manufacturer: &Manufacturer,
    model: &DeviceModel,
) -> Result<Vec<Product>, StoreError> {
    sqlx::query(select(
        PRODUCT,
        "FROM profiles WHERE manufacturer = ? AND model = ? ORDER BY id",
    ))
    .bind(manufacturer.as_str().to_owned())
    .bind(model.as_str().to_owned())
    .try_map(|row: SqliteRow| product(&mut Columns::of(&row)))
    .fetch_all(readers)
    .await
    .map_err(store_error)
}

/// Every product, by its profile's number.
pub(super) async fn all(connection: &mut SqliteConnection) -> Result<Vec<Product>, sqlx::Error> {
    sqlx::query(select(PRODUCT, "FROM profiles ORDER BY id"))
        .try_map(|row: SqliteRow| product(&mut Columns::of(&row)))
        .fetch_all(connection)
        .await
}

pub(super) async fn change_settings(
    writer: &Arc<Writer>,
    id: ProfileId,
    quirks: Option<String>,
    changes: &SettingChanges,
    stamp: &AuditStamp,
) -> Result<(), StoreError> {
    let entry = audit::profile_settings_changed(id, quirks.as_deref(), changes, stamp);
    let mut write = writer.begin().await?;
    let changed = sqlx::query("UPDATE profiles SET quirks = ?2, settings = ?3 WHERE id = ?1")
        .bind(integer(id.0))
        .bind(quirks)
        .bind(settings_text(changes))
        .execute(write.connection())
        .await
        .map_err(store_error)
        .and_then(|done| is_there(done.rows_affected()));
    let changed = append_if(write.connection(), changed, Some(entry)).await;
    write.finish(1, changed).await
}

pub(super) async fn remove_profile(
    writer: &Arc<Writer>,
    id: ProfileId,
    stamp: &AuditStamp,
) -> Result<(), StoreError> {
    let mut write = writer.begin().await?;
    let removed = sqlx::query("DELETE FROM profiles WHERE id = ?")
        .bind(integer(id.0))
        .execute(write.connection())
        .await
        .map_err(store_error)
        .and_then(|done| is_there(done.rows_affected()));
    let entry = Some(audit::profile_deleted(id, stamp));
    let removed = append_if(write.connection(), removed, entry).await;
    write.finish(1, removed).await
}

fn is_there(rows: u64) -> Result<(), StoreError> {
    if rows == 0 {
        return Err(StoreError::NotFound);
    }
    Ok(())
}

fn settings_text(changes: &SettingChanges) -> String {
    let texts = changes.iter();
    let texts = texts.map(|(setting, value)| (setting.word().to_owned(), value.to_text().into()));
    serde_json::Value::Object(texts.collect()).to_string()
}

/// A setting of a later version, or a value that is none any more, is left out: the default holds.
fn parse_settings(text: &str) -> Option<SettingChanges> {
    let texts: BTreeMap<String, String> = serde_json::from_str(text).ok()?;
    let mut changes = SettingChanges::default();
    for (name, text) in texts {
        let setting = Setting::from_word(&name);
        let set = setting.and_then(|setting| {
            let value = setting.value_of_text(&text)?;
            changes.set(setting, value).ok()
        });
        if set.is_none() {
            tracing::warn!(name, text, "a product's setting is not understood");
        }
    }
    Some(changes)
}

fn product(columns: &mut Columns<'_>) -> Result<Product, sqlx::Error> {
    Ok(Product {
        profile: ProfileId(columns.number()?),
        device_type: columns.parsed(|text| DeviceType::parse(text).ok())?,
        manufacturer: columns.parsed(|text| Manufacturer::parse(text).ok())?,
        model: columns.parsed(|text| DeviceModel::parse(text).ok())?,
        protocol: columns.value()?,
        quirks: columns.value()?,
        changes: columns.parsed(parse_settings)?,
    })
}

fn read(row: &SqliteRow) -> Result<StoredProfile, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(StoredProfile {
        product: product(&mut columns)?,
        document: columns.value()?,
        services: columns.value()?,
        created_at: columns.utc()?,
        created_by: columns.value()?,
    })
}
