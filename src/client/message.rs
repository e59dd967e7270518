//! What a message is on its way: bytes.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// A message has no bytes.
#[derive(Debug, Error)]
#[error("the message cannot be encoded: {0}")]
pub struct EncodeError(pub String);

/// A body is no such message.
#[derive(Debug, Error)]
#[error("the body is no such message: {0}")]
pub struct DecodeError(pub String);

/// What can be sent. Every type that serde serializes is `MessagePack` with named fields, so that a field may be added later;
/// [`Raw`] is bytes as they are.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as a message",
    note = "derive `serde::Serialize` for it, or send `Raw` bytes"
)]
pub trait MessageEncodable {
    /// Its bytes.
    fn encode(&self) -> Result<Vec<u8>, EncodeError>;
}

/// What a body can be read as.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a message",
    note = "derive `serde::Deserialize` for it (without borrowed fields), or take `Raw` bytes"
)]
pub trait MessageDecodable: Sized {
    /// Reads a body.
    fn decode(body: Bytes) -> Result<Self, DecodeError>;
}

impl<T: Serialize> MessageEncodable for T {
    fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        rmp_serde::to_vec_named(self).map_err(|error| EncodeError(error.to_string()))
    }
}

impl<T: DeserializeOwned> MessageDecodable for T {
    fn decode(body: Bytes) -> Result<Self, DecodeError> {
        rmp_serde::from_slice(&body).map_err(|error| DecodeError(error.to_string()))
    }
}

/// A body as it is.
///
/// ```no_run
/// # async fn run(shoal: shoalmq_client::Shoal) -> Result<(), Box<dyn std::error::Error>> {
/// use shoalmq_client::Raw;
///
/// let mut jobs = shoal.consumer::<Raw>("bytes");
/// if let Some(job) = jobs.next().await {
///     let job = job?;
///     println!("{} bytes", job.0.len());
///     job.ack().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw(pub Bytes);

impl MessageEncodable for Raw {
    fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        Ok(self.0.to_vec())
    }
}

impl MessageDecodable for Raw {
    fn decode(body: Bytes) -> Result<Self, DecodeError> {
        Ok(Raw(body))
    }
}

/// A message as JSON.
///
/// ```no_run
/// # async fn run(shoal: shoalmq_client::Shoal) -> Result<(), Box<dyn std::error::Error>> {
/// use serde::Serialize;
/// use shoalmq_client::Json;
///
/// #[derive(Serialize)]
/// struct Mail {
///     to: &'static str,
/// }
///
/// shoal.producer("mails").push(&Json(Mail { to: "ada" })).await?;
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "json")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<T>(pub T);

#[cfg(feature = "json")]
impl<T: Serialize> MessageEncodable for Json<T> {
    fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        serde_json::to_vec(&self.0).map_err(|error| EncodeError(error.to_string()))
    }
}

#[cfg(feature = "json")]
impl<T: DeserializeOwned> MessageDecodable for Json<T> {
    fn decode(body: Bytes) -> Result<Self, DecodeError> {
        let message = serde_json::from_slice(&body);
        message
            .map(Json)
            .map_err(|error| DecodeError(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Old {
        to: String,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct New {
        #[serde(default)]
        copies: u32,
        to: String,
    }

    #[test]
    fn a_field_may_be_added_later() {
        let bytes = Old { to: "ada".into() }.encode().expect("it is plain");
        let new = New::decode(bytes.into()).expect("fields have names");
        let wanted = New {
            copies: 0,
            to: "ada".into(),
        };
        assert_eq!(new, wanted);
        let bytes = wanted.encode().expect("it is plain");
        assert_eq!(Old::decode(bytes.into()).expect("as above").to, "ada");
    }

    /// As Orizuru writes them.
    #[test]
    fn fields_without_names_are_read_too() {
        let bytes = rmp_serde::to_vec(&Old { to: "ada".into() }).expect("it is plain");
        assert_eq!(Old::decode(bytes.into()).expect("an array").to, "ada");
    }

    #[test]
    fn what_is_no_message_is_told() {
        let error = Old::decode(Bytes::from_static(b"\xff\x00")).expect_err("it is none");
        assert!(
            error
                .to_string()
                .starts_with("the body is no such message: ")
        );
    }

    #[test]
    fn raw_bytes_stay_as_they_are() {
        let raw = Raw(Bytes::from_static(b"\x00\xff"));
        assert_eq!(raw.encode().expect("bytes"), b"\x00\xff");
        assert_eq!(Raw::decode(raw.0.clone()).expect("bytes"), raw);
    }
}
