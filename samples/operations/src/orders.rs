//! Orders out of a file, which stands for the database that an application has: it can be away.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hosting::{ConfigurationError, WebApplicationBuilder};
use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::Error;

const SECTION: &str = "Orders";
/// More bytes than this are no file of orders.
const LIMIT: u64 = 1024 * 1024;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Section {
    /// The path of the file, from the content root on. Default is `orders.json`.
    file: Option<PathBuf>,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct Order {
    id: u32,
    item: String,
    count: u32,
}

/// Where the orders are.
#[derive(Clone)]
pub(crate) struct Orders {
    file: Arc<PathBuf>,
}

impl Orders {
    /// Reads nothing yet: whoever starts before its database waits for it by not being ready.
    pub(crate) fn configured(builder: &WebApplicationBuilder) -> Result<Self, ConfigurationError> {
        let section = builder.configuration().section(SECTION);
        let Section { file } = if section.exists() { section.bind()? } else { Section::default() };
        let file = file.unwrap_or_else(|| "orders.json".into());
        Ok(Self { file: Arc::new(builder.environment().content_root.join(file)) })
    }

    /// Whether orders can be found.
    pub(crate) async fn check(self) -> Result<(), Error> {
        self.read().await.map(drop)
    }

    async fn read(&self) -> Result<Vec<Order>, Error> {
        let failed = |what: &str, error: &dyn std::error::Error| {
            Error::from(format!(
                "the orders cannot be {what}: {} ({SECTION}:File): {error}",
                self.file.display()
            ))
        };
        let text = self.text().await.map_err(|error| failed("read", &error))?;
        serde_json::from_slice(&text).map_err(|error| failed("understood", &error))
    }

    async fn text(&self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        File::open(self.file.as_path()).await?.take(LIMIT).read_to_end(&mut text).await?;
        Ok(text)
    }
}

/// The handler of `/orders/{id}`.
pub(crate) async fn one(State(orders): State<Orders>, Path(id): Path<u32>) -> Response {
    match orders.read().await.map(|orders| orders.into_iter().find(|order| order.id == id)) {
        Ok(Some(order)) => Json(order).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => {
            tracing::error!(error, "an order could not be looked up");
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")]).into_response()
        }
    }
}
