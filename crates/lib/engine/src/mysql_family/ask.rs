//! Questions to a server whose answer need not be what was asked for.
//!
//! The driver's own methods panic at a row that is not of the type asked for: at text in another
//! character set than UTF-8, at NULL, at one column more. Here that is an error.

use futures_util::future::BoxFuture;
use mysql_async::prelude::{AsQuery, FromRow, Queryable, StatementLike};
use mysql_async::{Conn, DriverError, Error, Params, Row};

/// Stands in for the driver's `Queryable`, under the same names.
pub(super) trait Ask: Queryable {
    /// All rows of the answer.
    fn query<'a, T, Q>(&'a mut self, sql: Q) -> BoxFuture<'a, Result<Vec<T>, Error>>
    where
        T: FromRow + Send + 'static,
        Q: AsQuery + 'a,
    {
        Box::pin(async move {
            let rows: Vec<Row> = Queryable::query(self, sql).await?;
            rows.into_iter().map(read).collect()
        })
    }

    /// The first row of the answer.
    fn query_first<'a, T, Q>(&'a mut self, sql: Q) -> BoxFuture<'a, Result<Option<T>, Error>>
    where
        T: FromRow + Send + 'static,
        Q: AsQuery + 'a,
    {
        Box::pin(async move {
            let row: Option<Row> = Queryable::query_first(self, sql).await?;
            row.map(read).transpose()
        })
    }

    /// Whether it went well.
    fn query_drop<'a, Q>(&'a mut self, sql: Q) -> BoxFuture<'a, Result<(), Error>>
    where
        Q: AsQuery + 'a,
    {
        Queryable::query_drop(self, sql)
    }

    /// [`Self::query`] with parameters.
    fn exec<'a, T, S, P>(&'a mut self, sql: S, params: P) -> BoxFuture<'a, Result<Vec<T>, Error>>
    where
        T: FromRow + Send + 'static,
        S: StatementLike + 'a,
        P: Into<Params> + Send + 'a,
    {
        Box::pin(async move {
            let rows: Vec<Row> = Queryable::exec(self, sql, params).await?;
            rows.into_iter().map(read).collect()
        })
    }

    /// [`Self::query_first`] with parameters.
    fn exec_first<'a, T, S, P>(
        &'a mut self,
        sql: S,
        params: P,
    ) -> BoxFuture<'a, Result<Option<T>, Error>>
    where
        T: FromRow + Send + 'static,
        S: StatementLike + 'a,
        P: Into<Params> + Send + 'a,
    {
        Box::pin(async move {
            let row: Option<Row> = Queryable::exec_first(self, sql, params).await?;
            row.map(read).transpose()
        })
    }

    /// [`Self::query_drop`] with parameters.
    fn exec_drop<'a, S, P>(&'a mut self, sql: S, params: P) -> BoxFuture<'a, Result<(), Error>>
    where
        S: StatementLike + 'a,
        P: Into<Params> + Send + 'a,
    {
        Queryable::exec_drop(self, sql, params)
    }
}

impl Ask for Conn {}

fn read<T: FromRow>(row: Row) -> Result<T, Error> {
    T::from_row_opt(row).map_err(|error| Error::Driver(DriverError::FromRow { row: error.0 }))
}
