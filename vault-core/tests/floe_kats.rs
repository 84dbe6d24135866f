//! FLOE against its published vectors and an independent implementation, for every backend of this build.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test may panic"
)]

use std::collections::HashSet;
use std::path::PathBuf;

use getrandom::SysRng;
use rand_core::{Rng, UnwrapErr};
use vault_core::floe::header::Parameters;
use vault_core::floe::{self, FloeError, HEADER, OVERHEAD, Opener, SEGMENT, SEGMENT_PLAIN, Sealer};
use vault_core::hazmat::aead::{AesGcm, BodyAead};
use vault_core::secret::Secret32;

const AAD: &[u8] = b"This is AAD";
const FORMAT_SEGMENT: u32 = 65_568;

// One module of tests for each backend.
macro_rules! for_every_backend {
    ($($test:ident),* $(,)?) => {
        mod aes_gcm {
            $(#[test] fn $test() { super::$test::<super::AesGcm>(); })*
        }
        #[cfg(feature = "aws-lc")]
        mod aws_lc {
            $(#[test] fn $test() { super::$test::<vault_core::hazmat::aead::AwsLc>(); })*
        }
    };
}

for_every_backend!(
    published_vectors_decrypt,
    every_flipped_bit_of_a_small_vector_fails,
    sampled_flipped_bits_of_large_vectors_fail,
    truncated_and_extended_vectors_fail,
    round_trips_with_the_vectors_parameters,
    an_independent_implementation_opens_our_bodies,
    we_open_an_independent_implementations_bodies,
    segments_far_into_a_body_agree_with_an_independent_implementation,
    a_resumed_body_opens_as_one,
    segments_work_from_many_threads,
    a_failed_open_leaves_no_plaintext,
);

struct Vector {
    name: &'static str,
    segment: u32,
    rotation: u32,
    sealed: Vec<u8>,
    plain: Vec<u8>,
}

impl Vector {
    fn parameters(&self) -> Parameters {
        Parameters::danger_for_vectors(self.segment, self.rotation).unwrap()
    }
}

#[test]
fn the_named_folder_must_be_readable() {
    // All other tests read the same folder, so an unreadable SEQVAULT_KATS fails each of them, too.
    assert_eq!(vectors().len(), 6);
}

fn vectors() -> Vec<Vector> {
    let vector = |name: &'static str, segment, rotation| Vector {
        name,
        segment,
        rotation,
        sealed: read_hex(&format!("{name}_ct.txt")),
        plain: read_hex(&format!("{name}_pt.txt")),
    };
    vec![
        vector("cpp_GCM256_IV256_64", 64, 20),
        // Its README says "mask 4": the keys change every 4 = 2^2 segments.
        vector("cpp_rotation", 40, 2),
        vector("java_lastSegAligned", 40, 20),
        vector("java_lastSegEmpty", 40, 20),
        vector("cpp_GCM256_IV256_4K", 4096, 20),
        vector("go_GCM256_IV256_4K", 4096, 20),
    ]
}

#[allow(clippy::disallowed_methods, reason = "a test reads its vectors")]
fn read_hex(file: &str) -> Vec<u8> {
    let folder = std::env::var_os("SEQVAULT_KATS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/kats/floe"), PathBuf::from);
    let path = folder.join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.trim()
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn zero_key() -> Secret32 {
    Secret32::take(&mut [0; 32])
}

/// Reads as section 2.6 does: the final flag comes from each segment's length field.
fn open_online<A: BodyAead>(parameters: Parameters, segment: usize, sealed: &[u8]) -> Result<Vec<u8>, FloeError> {
    let (header, mut rest) = sealed.split_at_checked(HEADER).ok_or(FloeError::Parameters)?;
    let opener = Opener::<A>::start_with(parameters, &zero_key(), AAD, header)?;
    let mut plain = Vec::new();
    for position in 0.. {
        let is_final = floe::is_final(rest.first_chunk().ok_or(FloeError::Length)?);
        let len = if is_final { rest.len() } else { segment };
        let (one, after) = rest.split_at_checked(len).ok_or(FloeError::Length)?;
        plain.extend_from_slice(opener.open_segment(position, is_final, &mut one.to_vec())?);
        rest = after;
        if is_final {
            break;
        }
    }
    Ok(plain)
}

fn seal_online<A: BodyAead>(parameters: Parameters, segment: usize, plain: &[u8]) -> Vec<u8> {
    let mut rng = UnwrapErr(SysRng);
    let (sealer, header) = Sealer::<A>::start_with(parameters, &zero_key(), AAD, &mut rng);
    let mut out = header.to_vec();
    let mut parts: Vec<&[u8]> = plain.chunks(segment - OVERHEAD).collect();
    if parts.is_empty() {
        parts.push(&[]);
    }
    let last = parts.len() - 1;
    for (position, part) in parts.into_iter().enumerate() {
        let mut iv = [0; 12];
        rng.fill_bytes(&mut iv);
        let mut one = [&[0; 16][..], part, &[0; 16]].concat();
        sealer.seal_segment(position as u64, position == last, &iv, &mut one).unwrap();
        out.extend_from_slice(&one);
    }
    out
}

fn published_vectors_decrypt<A: BodyAead>() {
    for v in vectors() {
        let opened = open_online::<A>(v.parameters(), v.segment as usize, &v.sealed);
        assert_eq!(opened.as_deref(), Ok(v.plain.as_slice()), "{}", v.name);
    }
}

fn flip_fails<A: BodyAead>(v: &Vector, bit: usize) {
    let mut changed = v.sealed.clone();
    changed[bit / 8] ^= 1 << (bit % 8);
    assert!(open_online::<A>(v.parameters(), v.segment as usize, &changed).is_err(), "{} bit {bit}", v.name);
}

fn every_flipped_bit_of_a_small_vector_fails<A: BodyAead>() {
    for v in vectors().iter().filter(|v| v.segment < 4096) {
        (0..v.sealed.len() * 8).for_each(|bit| flip_fails::<A>(v, bit));
    }
}

fn sampled_flipped_bits_of_large_vectors_fail<A: BodyAead>() {
    for v in vectors().iter().filter(|v| v.segment == 4096) {
        (0..v.sealed.len() * 8).step_by(61).for_each(|bit| flip_fails::<A>(v, bit));
    }
}

fn truncated_and_extended_vectors_fail<A: BodyAead>() {
    for v in vectors().iter().filter(|v| v.segment < 4096) {
        for len in 0..v.sealed.len() {
            assert!(open_online::<A>(v.parameters(), v.segment as usize, &v.sealed[..len]).is_err(), "{len}");
        }
        let longer = [v.sealed.as_slice(), &[0]].concat();
        assert!(open_online::<A>(v.parameters(), v.segment as usize, &longer).is_err());
    }
}

fn round_trips_with_the_vectors_parameters<A: BodyAead>() {
    for v in vectors() {
        let sealed = seal_online::<A>(v.parameters(), v.segment as usize, &v.plain);
        assert_ne!(sealed, v.sealed);
        let opened = open_online::<A>(v.parameters(), v.segment as usize, &sealed);
        assert_eq!(opened.as_deref(), Ok(v.plain.as_slice()), "{}", v.name);
    }
}

fn sizes() -> [usize; 8] {
    [0, 1, 17, SEGMENT_PLAIN - 1, SEGMENT_PLAIN, SEGMENT_PLAIN + 1, 2 * SEGMENT_PLAIN, 3 * SEGMENT_PLAIN + 5]
}

fn sample(size: usize) -> Vec<u8> {
    (0..size).map(|i| u8::try_from(i * i % 251).unwrap()).collect()
}

fn foreign() -> (fast_floe::Key, fast_floe::Parameters) {
    (fast_floe::Key::from_bytes([0; 32]), fast_floe::Parameters::with_segment_length(FORMAT_SEGMENT).unwrap())
}

fn an_independent_implementation_opens_our_bodies<A: BodyAead>() {
    let (key, parameters) = foreign();
    for plain in sizes().map(sample) {
        let sealed = seal_online::<A>(Parameters::FORMAT_1, SEGMENT, &plain);
        assert_eq!(sealed.len() as u64, floe::ciphertext_len(plain.len() as u64));
        assert_eq!(fast_floe::decrypt_with_parameters(&key, AAD, parameters, &sealed).unwrap(), plain);
    }
}

fn we_open_an_independent_implementations_bodies<A: BodyAead>() {
    let (key, parameters) = foreign();
    for plain in sizes().map(sample) {
        let sealed = fast_floe::encrypt(&key, AAD, parameters, &plain).unwrap();
        assert_eq!(open_online::<A>(Parameters::FORMAT_1, SEGMENT, &sealed).unwrap(), plain);
        assert_eq!(floe::open_bytes(&zero_key(), AAD, &sealed, plain.len() as u64).unwrap().as_slice(), plain);
    }
}

// Windows of 2^20 segments have their own keys: both sides of the first borders, and the last position there is.
fn segments_far_into_a_body_agree_with_an_independent_implementation<A: BodyAead>() {
    let (key, parameters) = foreign();
    let (mut theirs, header) = fast_floe::low_level::start_encryption(&key, AAD, parameters).unwrap();
    let ours = Opener::<A>::start_with(Parameters::FORMAT_1, &zero_key(), AAD, header.as_bytes()).unwrap();
    let sealer = Sealer::<A>::resume_with(Parameters::FORMAT_1, &zero_key(), AAD, header.as_bytes()).unwrap();
    let mut their_opener = fast_floe::low_level::start_decryption(&key, AAD, parameters, &header).unwrap();
    let size = floe::layout::MAX_SIZE - 100;
    let layout = parameters.plaintext_layout(size).unwrap();
    let window = 1u64 << 20;
    for position in [0, window - 1, window, window + 1, 2 * window, 0, 3 * window - 1, (1 << 40) - 1] {
        let segment = layout.segment_for_position(position).unwrap();
        let is_final = floe::is_final_position(size, position);
        assert_eq!(segment.is_final(), is_final);
        assert_eq!(segment.ciphertext_offset(), floe::segment_start(position));
        assert_eq!(Some(segment.ciphertext_length()), floe::segment_len(size, position));
        let plain = sample(segment.plaintext_length());
        let mut sealed = theirs.encrypt_segment(&plain, segment).unwrap();
        assert_eq!(ours.open_segment(position, is_final, &mut sealed).unwrap(), plain);

        let mut one = [&[0; 16][..], &plain, &[0; 16]].concat();
        sealer.seal_segment(position, is_final, &[7; 12], &mut one).unwrap();
        assert_eq!(their_opener.decrypt_segment(&one, segment).unwrap(), plain);
    }
}

fn a_resumed_body_opens_as_one<A: BodyAead>() {
    let mut rng = UnwrapErr(SysRng);
    let plain = sample(2 * SEGMENT_PLAIN + 9);
    let (first, header) = Sealer::<A>::start_with(Parameters::FORMAT_1, &zero_key(), AAD, &mut rng);
    let again = Sealer::<A>::resume_with(Parameters::FORMAT_1, &zero_key(), AAD, &header).unwrap();
    let mut sealed = header.to_vec();
    for (position, part) in plain.chunks(SEGMENT_PLAIN).enumerate() {
        let sealer = if position == 0 { &first } else { &again };
        let mut one = [&[0; 16][..], part, &[0; 16]].concat();
        sealer.seal_segment(position as u64, position == 2, &[position as u8; 12], &mut one).unwrap();
        sealed.extend_from_slice(&one);
    }
    assert_eq!(open_online::<A>(Parameters::FORMAT_1, SEGMENT, &sealed).unwrap(), plain);
    assert!(matches!(
        Sealer::<A>::resume_with(Parameters::FORMAT_1, &Secret32::take(&mut [1; 32]), AAD, &header),
        Err(FloeError::Authentication)
    ));
}

fn segments_work_from_many_threads<A: BodyAead>() {
    let mut rng = UnwrapErr(SysRng);
    let parameters = Parameters::danger_for_vectors(64, 2).unwrap();
    let (sealer, header) = Sealer::<A>::start_with(parameters, &zero_key(), AAD, &mut rng);
    let opener = Opener::<A>::start_with(parameters, &zero_key(), AAD, &header).unwrap();
    let (sealer, opener) = (&sealer, &opener);
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            scope.spawn(move || {
                for position in (thread..400).step_by(8) {
                    let mut one = [position as u8; 64];
                    sealer.seal_segment(position, false, &[position as u8; 12], &mut one).unwrap();
                    assert_eq!(opener.open_segment(position, false, &mut one).unwrap(), [position as u8; 32]);
                }
            });
        }
    });
}

fn a_failed_open_leaves_no_plaintext<A: BodyAead>() {
    let mut rng = UnwrapErr(SysRng);
    let (sealer, header) = Sealer::<A>::start_with(Parameters::FORMAT_1, &zero_key(), AAD, &mut rng);
    let opener = Opener::<A>::start_with(Parameters::FORMAT_1, &zero_key(), AAD, &header).unwrap();
    let mut one = vec![0x5a; 4096];
    sealer.seal_segment(0, true, &[1; 12], &mut one).unwrap();
    assert_eq!(opener.open_segment(1, true, &mut one), Err(FloeError::Authentication));
    assert_eq!(one[16..4080].iter().copied().collect::<HashSet<_>>(), HashSet::from([0]));
}
