//! The multiplexer of `baraza-link`.

use std::time::Instant;

use baraza_link::mux::{
    CHANNEL_BUFFER, Decoder, Event, Frame, MAX_CHANNELS, MAX_MESSAGE, Malformed, Mux,
};

/// A stream is decoded alike however it is cut, and whatever it says to a link, the link
/// stays within its limits and its own output is one that can be decoded.
pub(crate) fn mux(data: &[u8]) -> bool {
    let whole = decode(data, data.len());
    for cut in [1, 3, 17] {
        assert_eq!(decode(data, cut), whole, "cut into pieces of {cut}");
    }
    let (frames, well) = whole;
    assert!(frames.iter().all(|frame| frame.data.len() <= MAX_MESSAGE));
    talk(data);
    well && !frames.is_empty()
}

fn decode(data: &[u8], cut: usize) -> (Vec<Frame>, bool) {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    for piece in data.chunks(cut.max(1)) {
        let mut piece = piece.to_vec().into();
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(Malformed) => return (frames, false),
            }
        }
    }
    (frames, true)
}

/// A link with channels of its own that accepts every second request and echoes.
fn talk(data: &[u8]) {
    let now = Instant::now();
    let mut mux = Mux::new(true, now);
    for name in ["sip", "msg:x", "git://x/y"] {
        assert!(mux.open(name).is_ok());
    }
    mux.probe(now);
    let (mut open, mut held, mut sent) = (0_usize, 0_usize, Vec::new());
    for piece in data.chunks(97) {
        let alive = mux.receive(now, piece.to_vec().into()).is_ok();
        while let Some(event) = mux.poll_event() {
            match event {
                Event::Requested { number, .. } if number % 2 == 0 => mux.decline(number),
                Event::Requested { number, .. } => {
                    mux.accept(number);
                    open += 1;
                }
                Event::Data { number, bytes } if number % 4 == 0 => {
                    mux.consumed(number, bytes.len());
                    // A full window is the peer's loss.
                    let _ = mux.write(number, bytes);
                }
                Event::Data { bytes, .. } => held += bytes.len(),
                Event::Closed { .. } | Event::Declined { .. } => {}
                Event::Opened { .. } | Event::Sent { .. } => {}
            }
        }
        while let Some(message) = mux.poll_transmit(now) {
            sent.extend_from_slice(message.header());
            sent.extend_from_slice(message.body());
        }
        if !alive {
            break;
        }
    }
    assert!(open <= MAX_CHANNELS.max(data.len()));
    assert!(held <= CHANNEL_BUFFER.max(data.len()));
    let (_, well) = decode(&sent, sent.len());
    assert!(well, "our own output is well formed");
}
