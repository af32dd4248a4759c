//! The admin API as OpenAPI, for `sfu-node openapi` and `docs/admin-api.yaml`.

use crate::http::admin;
use crate::http::admin::sessions;
use sfumato_admin_api::types::Problem;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};

#[derive(OpenApi)]
#[openapi(
    info(title = "Sfumato node admin API", description = "What operator, peers and front door ask of a media node. \
        Served on the admin listener. Every call is idempotent; errors are problem details (RFC 9457)."),
    paths(
        admin::node_report, admin::put_links, admin::close_links,
        admin::publications, admin::name, admin::objects, admin::observer, admin::subscribe, admin::renew,
        admin::drain, admin::undrain,
        sessions::sessions, sessions::kick_session, sessions::kick_publication
    ),
    components(schemas(Problem)),
    modifiers(&Security),
    security(("bearer" = []), ("token" = []))
)]
struct Api;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_with(Default::default);
        components.add_security_scheme(
            "bearer",
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()),
        );
        components.add_security_scheme(
            "token",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("Sfumato-Admin-Token"))),
        );
    }
}

/// The document as YAML.
pub fn yaml() -> Result<String, String> {
    Api::openapi().to_yaml().map_err(|error| error.to_string())
}
