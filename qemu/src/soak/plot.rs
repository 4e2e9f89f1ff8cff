//! The picture of a soak: one panel for each group of figures, over the same seconds.

use super::sample::Sample;
use plotters::prelude::*;

/// Size of the picture, in pixels.
const SIZE: (u32, u32) = (1000, 1320);

/// A line: its name and its value in a sample.
type Line = (&'static str, fn(&Sample) -> f64);

/// A panel: its title and its lines.
type Panel = (&'static str, &'static [Line]);

const PANELS: [Panel; 6] = [
    ("requests in a second", &[("requests", |s| s.rate)]),
    (
        "latency of a probe, ms",
        &[("median", |s| s.p50_ms), ("longest of ten", |s| s.max_ms)],
    ),
    (
        "receive ring, descriptors",
        &[
            ("gap: with the device", |s| s.rx.gap.into()),
            ("in flight: with the driver", |s| {
                f64::from(s.rx.size.saturating_sub(s.rx.gap))
            }),
        ],
    ),
    (
        "transmit ring, descriptors",
        &[
            ("in flight: with the device", |s| s.tx.gap.into()),
            ("free", |s| s.tx.free.into()),
        ],
    ),
    (
        "connections",
        &[
            ("open", |s| s.open as f64),
            ("in TIME_WAIT", |s| s.time_wait as f64),
        ],
    ),
    (
        "memory, KiB",
        &[
            ("heap of the guest", |s| s.heap_used as f64 / 1024.0),
            ("QEMU resident", |s| s.rss_kib as f64),
        ],
    ),
];

/// Draws `samples` as an SVG document.
#[must_use]
pub fn draw(samples: &[Sample]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail; a panel that cannot be drawn stays empty.
    let _ = panels(&mut text, samples);
    text
}

fn panels(text: &mut String, samples: &[Sample]) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, panel) in root.split_evenly((PANELS.len(), 1)).iter().zip(PANELS) {
        draw_panel(area, panel, samples).map_err(|error| error.to_string())?;
    }
    root.present()?;
    Ok(())
}

fn draw_panel<'a>(
    area: &DrawingArea<SVGBackend<'a>, plotters::coord::Shift>,
    (title, lines): Panel,
    samples: &[Sample],
) -> Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>> {
    let end = samples.last().map_or(1.0, |s| s.at.as_secs_f64().max(1.0));
    let most = samples
        .iter()
        .flat_map(|s| lines.iter().map(|(_, value)| value(s)))
        .fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..end, 0.0..most * 1.1)?;
    chart.configure_mesh().x_desc("seconds").draw()?;
    for (index, (name, value)) in lines.iter().enumerate() {
        let color = Palette99::pick(index).to_rgba();
        let points = samples.iter().map(|s| (s.at.as_secs_f64(), value(s)));
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_panel_and_line_is_in_the_picture() {
        let samples: Vec<Sample> = (0..5)
            .map(|n| Sample {
                at: Duration::from_secs(n),
                rate: 1000.0 * n as f64,
                ..Sample::default()
            })
            .collect();
        let text = draw(&samples);
        for (title, lines) in PANELS {
            assert!(text.contains(title), "{title} is missing");
            for (name, _) in lines {
                assert!(text.contains(name), "{name} is missing");
            }
        }
    }

    #[test]
    fn a_soak_without_samples_still_gives_a_picture() {
        assert!(draw(&[]).starts_with("<svg"));
    }
}
