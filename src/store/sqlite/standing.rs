//! Where one device stands: by indexes that begin with the campaign or the group.

use async_trait::async_trait;

use super::error::store_error;
use super::rows::{self, integer, select};
use super::{SqliteStore, campaigns};
use crate::model::{Campaign, EndpointName, GroupId, UpdateTask};
use crate::store::standing::CAMPAIGNS_LOOKED_AT;
use crate::store::{StandingStore, StoreError};

#[async_trait]
impl StandingStore for SqliteStore {
    async fn last_task(&self, endpoint: &EndpointName) -> Result<Option<UpdateTask>, StoreError> {
        sqlx::query(select(
            rows::TASK,
            "FROM tasks WHERE endpoint = ? AND campaign IN
                 (SELECT id FROM campaigns WHERE whole = 1 ORDER BY id DESC LIMIT ?)
             ORDER BY campaign DESC LIMIT 1",
        ))
        .bind(endpoint.as_str().to_owned())
        .bind(CAMPAIGNS_LOOKED_AT)
        .try_map(|row| rows::task(&row))
        .fetch_optional(&self.readers)
        .await
        .map_err(store_error)
    }

    async fn current_campaigns(&self, limit: u32) -> Result<Vec<Campaign>, StoreError> {
        campaigns::current(&self.readers, limit).await
    }

    async fn is_in_groups(
        &self,
        endpoint: &EndpointName,
        groups: &[GroupId],
    ) -> Result<bool, StoreError> {
        let groups: Vec<i64> = groups.iter().map(|group| integer(group.0)).collect();
        let found = sqlx::query(
            "SELECT 1 FROM group_devices
             WHERE device_group IN (SELECT value FROM json_each(?)) AND endpoint = ? LIMIT 1",
        )
        .bind(serde_json::Value::from(groups).to_string())
        .bind(endpoint.as_str().to_owned())
        .fetch_optional(&self.readers)
        .await
        .map_err(store_error)?;
        Ok(found.is_some())
    }
}
