//! What SQLite says, in the store's words.

use sqlx::sqlite::SqliteQueryResult;

use crate::store::StoreError;

/// Result codes, <https://www.sqlite.org/rescode.html>.
mod code {
    pub(super) const PRIMARY_MASK: i32 = 0xff;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const NOT_A_DATABASE: i32 = 26;
    pub(super) const CONSTRAINT_FOREIGN_KEY: i32 = 787;
    pub(super) const IO_WRITE: i32 = 778;
    pub(super) const IO_FSYNC: i32 = 1034;
    pub(super) const IO_DIRECTORY_FSYNC: i32 = 1290;
    pub(super) const CONSTRAINT_PRIMARY_KEY: i32 = 1555;
    pub(super) const CONSTRAINT_UNIQUE: i32 = 2067;
    pub(super) const IO_SHARED_MEMORY_SIZE: i32 = 4874;
    pub(super) const IO_CORRUPT_FILE_SYSTEM: i32 = 8458;
}

/// The store's error for one of the driver's.
pub(super) fn store_error(error: sqlx::Error) -> StoreError {
    if matches!(error, sqlx::Error::RowNotFound) {
        return StoreError::NotFound;
    }
    let Some(result_code) = result_code(&error) else {
        return StoreError::Failed(error.to_string());
    };
    of_result_code(result_code, error.to_string())
}

/// As [`store_error`], where a second row with the same key is a conflict that has a name.
pub(super) fn or_conflict(what: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| match result_code(&error) {
        Some(code::CONSTRAINT_PRIMARY_KEY | code::CONSTRAINT_UNIQUE) => StoreError::Conflict(what),
        Some(_) | None => store_error(error),
    }
}

/// `NotFound` where a statement changed no row.
pub(super) fn found(result: SqliteQueryResult) -> Result<(), StoreError> {
    if result.rows_affected() == 0 {
        return Err(StoreError::NotFound);
    }
    Ok(())
}

fn result_code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

fn of_result_code(result_code: i32, text: String) -> StoreError {
    match result_code {
        // A row refers to one that is not there.
        code::CONSTRAINT_FOREIGN_KEY => return StoreError::NotFound,
        code::CONSTRAINT_PRIMARY_KEY | code::CONSTRAINT_UNIQUE => {
            return StoreError::Conflict("it is there already");
        }
        // After a failed fsync the kernel may have dropped what it could not write: a second fsync
        // that succeeds proves nothing.
        code::IO_FSYNC | code::IO_DIRECTORY_FSYNC | code::IO_CORRUPT_FILE_SYSTEM => {
            return StoreError::Fatal(text);
        }
        // The index of the write-ahead log cannot grow: in practice the disk is full. SQLITE_FULL is for
        // ENOSPC alone: a quota or a limit on the file's size (EDQUOT, EFBIG) comes as a failed write.
        code::IO_SHARED_MEMORY_SIZE | code::IO_WRITE => return StoreError::Full,
        _ => {}
    }
    match result_code & code::PRIMARY_MASK {
        code::FULL => StoreError::Full,
        code::CORRUPT | code::NOT_A_DATABASE => StoreError::Fatal(text),
        _ => StoreError::Failed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_the_process_is_told_from_what_can_be_tried_again() {
        let of = |result_code| of_result_code(result_code, String::new());
        assert!(matches!(of(13), StoreError::Full), "SQLITE_FULL");
        assert!(matches!(of(4874), StoreError::Full), "SQLITE_IOERR_SHMSIZE");
        assert!(matches!(of(778), StoreError::Full), "SQLITE_IOERR_WRITE");
        assert!(
            matches!(of(1034), StoreError::Fatal(_)),
            "SQLITE_IOERR_FSYNC"
        );
        assert!(
            matches!(of(1290), StoreError::Fatal(_)),
            "SQLITE_IOERR_DIR_FSYNC"
        );
        assert!(matches!(of(11), StoreError::Fatal(_)), "SQLITE_CORRUPT");
        assert!(
            matches!(of(267), StoreError::Fatal(_)),
            "SQLITE_CORRUPT_VTAB"
        );
        assert!(matches!(of(26), StoreError::Fatal(_)), "SQLITE_NOTADB");
        assert!(
            matches!(of(266), StoreError::Failed(_)),
            "SQLITE_IOERR_READ"
        );
        assert!(matches!(of(5), StoreError::Failed(_)), "SQLITE_BUSY");
        assert!(
            matches!(of(787), StoreError::NotFound),
            "SQLITE_CONSTRAINT_FOREIGNKEY"
        );
        assert!(
            matches!(of(2067), StoreError::Conflict(_)),
            "SQLITE_CONSTRAINT_UNIQUE"
        );
    }
}
