use std::io::{BufReader, Write};

use super::*;

fn stored(format: Format, text: &[u8]) -> Vec<u8> {
    match format {
        Format::Plain => text.to_vec(),
        Format::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        Format::Zstd => zstd::encode_all(text, 1).unwrap(),
        Format::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        Format::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        Format::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
    }
}

const COMPRESSED: [Format; 5] = [
    Format::Gzip,
    Format::Zstd,
    Format::Xz,
    Format::Bzip2,
    Format::Lz4,
];

fn read(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    reader(BufReader::with_capacity(7, Cursor::new(bytes)))?.read_to_end(&mut out)?;
    Ok(out)
}

fn text() -> Vec<u8> {
    (0..40_000_u32)
        .flat_map(|number| (number.wrapping_mul(2_654_435_761)).to_le_bytes())
        .collect()
}

#[test]
fn members_and_streams_are_read_to_the_end() {
    let text = text();
    assert_eq!(read(text.clone()).unwrap(), text);
    for format in COMPRESSED {
        let one = stored(format, &text);
        assert_eq!(sniff(&one), format);
        assert_eq!(read(one.clone()).unwrap(), text, "{format:?}");
        assert_eq!(
            read([one.clone(), one].concat()).unwrap(),
            text.repeat(2),
            "{format:?} twice"
        );
        assert_eq!(
            read(stored(format, b"")).unwrap(),
            b"",
            "{format:?} of nothing"
        );
    }
}

#[test]
fn a_stream_that_breaks_off_is_not_an_end() {
    for format in COMPRESSED {
        let one = stored(format, &text());
        for keep in (7..one.len())
            .step_by(997)
            .chain([one.len() - 1, one.len() - 4, one.len() - 8])
        {
            let error = read(one[..keep].to_vec()).expect_err("a cut stream must not pass");
            assert_eq!(
                error.kind(),
                io::ErrorKind::UnexpectedEof,
                "{format:?} cut at {keep}"
            );
        }
    }
}

#[test]
fn an_lz4_stream_cut_between_blocks_is_not_an_end() {
    let one = stored(Format::Lz4, &text());
    // Header 7 bytes, then blocks of a length and that many bytes.
    let length = u32::from_le_bytes([one[7], one[8], one[9], one[10]]) & 0x7fff_ffff;
    let cut = 11 + length as usize;
    assert_eq!(
        read(one[..cut].to_vec()).unwrap_err().kind(),
        io::ErrorKind::UnexpectedEof
    );
}

#[test]
fn what_follows_gzip() {
    let one = stored(Format::Gzip, b"SELECT 1;");
    assert_eq!(
        read([one.clone(), vec![0; 512]].concat()).unwrap(),
        b"SELECT 1;"
    );
    for tail in [b"garbage".to_vec(), [vec![0; 9], b"x".to_vec()].concat()] {
        let error = read([one.clone(), tail].concat()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}

#[test]
fn short_files_are_plain() {
    assert_eq!(read(b"".to_vec()).unwrap(), b"");
    assert_eq!(read(b"x;".to_vec()).unwrap(), b"x;");
}
