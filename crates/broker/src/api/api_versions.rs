//! ApiVersions: v0-4 (KIP-35, KIP-511, KIP-584).
//!
//! - v1: throttle time. v3: flexible encodings; the client says what it is, and
//!   hears which features are on. v4: features whose lowest level is 0.
//!
//! A version above these gets a version 0 answer with UNSUPPORTED_VERSION and the
//! versions of this API, with which the client asks again.

use std::ops::RangeInclusive;

use bytes::{Bytes, BytesMut};
use ottla_base::ErrorCode;
use ottla_protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use ottla_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_protocol::{ApiKey, StrBytes, WireError, WireRequest as _};

use super::{Cx, Handler, ROUTES, Refusal, Route};

/// The first version that knows features whose lowest level is 0.
const LEVEL_ZERO_SINCE: i16 = 4;

/// The first version in which the client says what it is.
const CLIENT_SOFTWARE_SINCE: i16 = 3;

#[derive(Debug)]
pub(super) struct ApiVersions;

impl Handler for ApiVersions {
    type Request = ApiVersionsRequest;
    const SERVED: RangeInclusive<i16> = 0..=4;

    async fn handle(cx: Cx, request: ApiVersionsRequest) -> Result<ApiVersionsResponse, Refusal> {
        let software = [
            request.client_software_name.as_str(),
            request.client_software_version.as_str(),
        ];
        let is_named = software.iter().all(|part| is_software_name(part));
        if cx.version >= CLIENT_SOFTWARE_SINCE && !is_named {
            return Err(ErrorCode::InvalidRequest.into());
        }
        cx.connection.told.meet(software);
        let image = cx.broker.image();
        let finalized = image.features().map(|(name, level)| {
            FinalizedFeatureKey::default()
                .with_name(StrBytes::from_string(name.to_owned()))
                .with_max_version_level(level)
                .with_min_version_level(level)
        });
        Ok(ApiVersionsResponse::default()
            .with_api_keys(ROUTES.iter().map(advertised).collect())
            .with_supported_features(supported_features(cx.version))
            .with_finalized_features_epoch(cx.broker.metadata_offset())
            .with_finalized_features(finalized.collect()))
    }

    fn refuse(error: ErrorCode) -> ApiVersionsResponse {
        ApiVersionsResponse::default().with_error_code(error.code())
    }
}

/// The body that answers an ApiVersions of a version nobody knows.
pub(super) fn refuse_version(error: ErrorCode) -> Result<Vec<Bytes>, WireError> {
    let own = ROUTES
        .iter()
        .filter(|route| route.key == ApiKey::ApiVersions);
    let response = ApiVersionsResponse::default()
        .with_error_code(error.code())
        .with_api_keys(own.map(advertised).collect());
    let mut body = BytesMut::new();
    ApiVersionsRequest::encode(&response, 0, &mut body)?;
    Ok(vec![body.freeze()])
}

fn advertised(route: &Route) -> ApiVersion {
    // librdkafka before 2.12 takes a broker without Produce version 0 for one of
    // 2013 (KAFKA-18659).
    let lowest = if route.key == ApiKey::Produce {
        0
    } else {
        *route.served.start()
    };
    ApiVersion::default()
        .with_api_key(route.key.code())
        .with_min_version(lowest)
        .with_max_version(*route.served.end())
}

fn supported_features(version: i16) -> Vec<SupportedFeatureKey> {
    let features = ottla_controller::FEATURES.iter();
    let features = features.filter(|feature| feature.min > 0 || version >= LEVEL_ZERO_SINCE);
    let features = features.map(|feature| {
        SupportedFeatureKey::default()
            .with_name(StrBytes::from_static_str(feature.name))
            .with_min_version(feature.min)
            .with_max_version(feature.max)
    });
    features.collect()
}

/// Letters and digits, with '-' and '.' between them.
fn is_software_name(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let ends = [name.chars().next(), name.chars().last()];
    let ends_well = ends
        .iter()
        .all(|end| end.is_some_and(|c| c.is_ascii_alphanumeric()));
    ends_well && name.chars().all(is_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_are_checked_as_kafka_does() {
        for legal in ["a", "apache-kafka-java", "4.3.1", "a-.b"] {
            assert!(is_software_name(legal), "{legal}");
        }
        for illegal in ["", "-a", "a-", ".", "a b", "ä"] {
            assert!(!is_software_name(illegal), "{illegal}");
        }
    }
}
