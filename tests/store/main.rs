//! The store's promises, held against each of its makings.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use narrowcast::store::StoreError;

/// Runs each of these functions once for each making of the store.
macro_rules! for_each_store {
    ($($name:ident,)+) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&narrowcast::store::MemoryStore::new()).await;
            })+
        }

        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                let (_folder, store) = crate::samples::sqlite().await;
                super::$name(&store).await;
            })+
        }
    };
}

mod audit;
mod campaigns;
mod conformance;
mod device_requests;
mod equality;
mod events;
mod links;
mod packages;
mod profiles;
mod restart;
mod samples;
mod targets;
mod torn_log;

fn is_conflict<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict(_)))
}

fn is_not_found<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::NotFound))
}
