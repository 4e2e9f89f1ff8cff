//! What all connections share: the site, the clock's line, the counters, and scratch memory.

use crate::app::Application;
use crate::flows::FlowPage;
use crate::http::date::Date;
use crate::site::Site;
use crate::stats::Stats;
use crate::text::Text;
use alloc::boxed::Box;

/// Whether the guest is well, as `/healthz` tells.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Health {
    /// No new connections are accepted, the last ones end.
    pub draining: bool,
    /// Something is wrong.
    pub degraded: Option<&'static str>,
}

/// What all connections share.
pub(crate) struct Service {
    /// Handlers in front of the site.
    pub application: Application,
    /// The site.
    pub site: Site,
    /// The counters.
    pub stats: Stats,
    /// The `Date` field.
    pub date: Date,
    /// Whether the guest is well.
    pub health: Health,
    /// A head that the receive buffer's end divides is put together here.
    pub head: Box<[u8]>,
    /// Answers that are not prepared are written here.
    pub text: Text,
    /// The connections, for who asks for them.
    pub flows: FlowPage,
    /// What handlers write; empty without any.
    pub page: Text,
    /// The endpoints are on the site's port too.
    pub public_endpoints: bool,
    /// Where they always are.
    pub admin: Option<u16>,
}
