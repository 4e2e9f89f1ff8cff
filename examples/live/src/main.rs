//! A page that shows what the guest is doing, as it happens.
//!
//! `GET /events?ms=500` is a stream of server-sent events (HTML Living Standard, 9.2): the figures
//! of `/stats.json`, one line each time. The page itself, with its chart, lies in `site/` and is
//! served like any other.
#![no_std]
#![no_main]

use quartz_kernel::Duration;
use quartz_kernel::app::{
    Application, Body, Guest, Handler, Method, Next, Reply, Request, State, Writer,
};

/// Time between two events unless the request says otherwise, in milliseconds.
const USUAL_MS: u64 = 1000;
/// Bounds of what it may say.
const FASTEST_MS: u64 = 100;
const SLOWEST_MS: u64 = 60_000;

/// The stream of figures.
struct Events;

impl Handler for Events {
    fn handle(&mut self, request: &Request<'_>, reply: &mut Reply<'_>, _: &Guest<'_>) -> Body {
        let wish = request.query("ms").map(str::parse::<u64>);
        let Ok(ms) = wish.unwrap_or(Ok(USUAL_MS)) else {
            reply.status(400);
            return Body::Static(b"ms has to be a number\n");
        };
        reply.field("Content-Type", "text/event-stream");
        reply.field("Cache-Control", "no-store");
        Body::Stream {
            len: None,
            state: State([ms.clamp(FASTEST_MS, SLOWEST_MS), 0, 0, 0]),
        }
    }

    fn stream(&mut self, state: &mut State, out: &mut Writer<'_>, guest: &Guest<'_>) -> Next {
        if guest.is_draining() {
            return Next::Done;
        }
        out.push(b"data: ");
        // The figures are one line with its end; an empty line ends the event.
        guest.write_stats(out);
        out.push(b"\n");
        if out.is_full() {
            return Next::Room;
        }
        Next::At(guest.now() + Duration::from_millis(state.0[0]))
    }
}

quartz_kernel::application!(|| Application::new().route(Method::Get, "/events", Events));
