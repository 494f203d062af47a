//! Azure's listings, which are XML.

use std::time::SystemTime;

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use aws_smithy_xml::decode::{Document, ScopedDecoder, try_data};

use super::quoted;
use crate::address::percent_decoded;
use crate::{Object, Page, Version};

/// A page of a listing; none when it is not all there.
pub(super) fn page(xml: &[u8]) -> Option<Page> {
    // Half a marker would pass for one.
    if !xml.trim_ascii_end().ends_with(b"</EnumerationResults>") {
        return None;
    }
    let mut document = Document::try_from(xml).ok()?;
    let mut root = document.root_element().ok()?;
    let (mut objects, mut next) = (Vec::new(), None);
    if root.start_el().local() != "EnumerationResults" {
        return None;
    }
    while let Some(mut part) = root.next_tag() {
        match part.start_el().local() {
            "Blobs" => {
                while let Some(blob) = part.next_tag() {
                    if blob.start_el().local() == "Blob"
                        && let Some(object) = object(blob)?
                    {
                        objects.push(object);
                    }
                }
            }
            // Always there: it is empty on the last page.
            "NextMarker" => next = Some(try_data(&mut part).ok()?.into_owned()),
            _ => {}
        }
    }
    Some(Page {
        objects,
        next: Some(next?).filter(|marker| !marker.is_empty()),
    })
}

/// What is said of one blob; `None` within for a folder of Data Lake Storage, which is listed as one.
fn object(mut blob: ScopedDecoder<'_, '_>) -> Option<Option<Object>> {
    let mut object = Object {
        key: String::new(),
        size: None,
        version: Version::default(),
        modified: None,
        checksums: Vec::new(),
        ranges: true,
        endless: false,
    };
    let mut is_folder = false;
    while let Some(mut part) = blob.next_tag() {
        match part.start_el().local() {
            "Name" => {
                // Letters that XML does not have.
                let is_encoded = part.start_el().attr("Encoded") == Some("true");
                let name = try_data(&mut part).ok()?;
                object.key = if is_encoded {
                    percent_decoded(&name)
                } else {
                    name.into_owned()
                };
            }
            "Properties" => {
                while let Some(mut property) = part.next_tag() {
                    let name = property.start_el().local().to_owned();
                    let text = try_data(&mut property).ok()?;
                    match name.as_str() {
                        "Content-Length" => object.size = text.parse().ok(),
                        "Etag" => object.version.etag = Some(quoted(&text)),
                        "Last-Modified" => object.modified = time(&text),
                        "ResourceType" => is_folder |= text == "directory",
                        _ => {}
                    }
                }
            }
            "Metadata" => {
                while let Some(mut entry) = part.next_tag() {
                    let marks = (entry.start_el().local()).eq_ignore_ascii_case("hdi_isfolder");
                    is_folder |= marks && try_data(&mut entry).ok()?.eq_ignore_ascii_case("true");
                }
            }
            _ => {}
        }
    }
    Some(Some(object).filter(|object| !is_folder && !object.key.is_empty()))
}

fn time(text: &str) -> Option<SystemTime> {
    let date = DateTime::from_str(text, DateTimeFormat::HttpDate).ok()?;
    SystemTime::try_from(date).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\
        <EnumerationResults ServiceEndpoint=\"https://me.blob.core.windows.net/\" ContainerName=\"c\">\
        <Prefix>d/</Prefix><MaxResults>4</MaxResults><Blobs>\
        <Blob><Name>d/a &amp; b.sql</Name><Properties><Creation-Time>Thu, 01 Jan 2026 00:00:00 GMT</Creation-Time>\
        <Last-Modified>Thu, 01 Jan 2026 00:00:02 GMT</Last-Modified><Etag>0x8D1</Etag>\
        <Content-Length>12</Content-Length><Content-MD5 /><ResourceType>file</ResourceType></Properties>\
        <Metadata><owner>me</owner></Metadata><OrMetadata /></Blob>\
        <Blob><Name Encoded=\"true\">d/%EF%BF%BE.sql</Name><Properties><Content-Length>1</Content-Length>\
        </Properties></Blob>\
        <Blob><Name>d/old</Name><Properties><Content-Length>0</Content-Length></Properties>\
        <Metadata><hdi_isfolder>true</hdi_isfolder></Metadata></Blob>\
        <Blob><Name>d/new</Name><Properties><Content-Length>0</Content-Length>\
        <ResourceType>directory</ResourceType></Properties></Blob>\
        </Blobs><NextMarker>2!80!x</NextMarker></EnumerationResults>";

    #[test]
    fn blobs_are_listed_and_folders_left_out() {
        let listed = page(LISTING.as_bytes()).unwrap();
        let keys: Vec<_> = listed.objects.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, ["d/a & b.sql", "d/\u{fffe}.sql"]);
        let first = &listed.objects[0];
        assert_eq!(first.size, Some(12));
        assert_eq!(first.version.etag.as_deref(), Some("\"0x8D1\""));
        let then = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_767_225_602);
        assert_eq!(first.modified, Some(then));
        assert_eq!(listed.next.as_deref(), Some("2!80!x"));
        let last = LISTING.replace("<NextMarker>2!80!x</NextMarker>", "<NextMarker />");
        assert_eq!(page(last.as_bytes()).unwrap().next, None);
    }

    #[test]
    fn half_a_listing_is_none() {
        for end in 0..LISTING.len() {
            assert!(page(&LISTING.as_bytes()[..end]).is_none(), "cut at {end}");
        }
        assert!(page(b"<html><NextMarker/></html>").is_none());
    }
}
