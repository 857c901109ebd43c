//! The wire form: numbered fields, each a varint, four or eight bytes, or a length and bytes.

/// One value as it stands on the wire.
#[derive(Clone, Copy)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    pub(super) fn mismatch<T>(self, place: &str, name: &str, wanted: &str) -> Result<T, String> {
        let found = match self {
            Self::Varint(_) => "a varint",
            Self::Fixed64(_) => "eight bytes",
            Self::Fixed32 => "four bytes",
            Self::Bytes(_) => "a length and bytes",
        };
        Err(format!("wrong wire type in {place}.{name}: {found} where {wanted} belongs"))
    }

    pub(super) fn varint(self, place: &str, name: &str) -> Result<u64, String> {
        match self {
            Self::Varint(number) => Ok(number),
            other => other.mismatch(place, name, "a varint"),
        }
    }

    pub(super) fn int32(self, place: &str, name: &str) -> Result<i32, String> {
        // A negative number stands on the wire in 64 bits; its low half is the number.
        #[allow(clippy::cast_possible_truncation)]
        self.varint(place, name).map(|number| number as i32)
    }

    pub(super) fn int64(self, place: &str, name: &str) -> Result<i64, String> {
        self.varint(place, name).map(u64::cast_signed)
    }

    pub(super) fn bytes(self, place: &str, name: &str) -> Result<&'a [u8], String> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            other => other.mismatch(place, name, "a length and bytes"),
        }
    }

    pub(super) fn string(self, place: &str, name: &str) -> Result<&'a str, String> {
        std::str::from_utf8(self.bytes(place, name)?).map_err(|_| format!("{place}.{name} is not valid UTF-8"))
    }
}

/// The fields of one message in the order of the wire. Nothing follows an error.
pub(super) struct Fields<'a> {
    pub(super) rest: &'a [u8],
    pub(super) place: &'a str,
}

impl<'a> Fields<'a> {
    pub(super) fn new(rest: &'a [u8], place: &'a str) -> Self {
        Self { rest, place }
    }

    pub(super) fn field(&mut self) -> Result<(u32, Wire<'a>), String> {
        let key = varint(&mut self.rest, self.place)?;
        let number = match u32::try_from(key >> 3) {
            Ok(number @ 1..=0x1fff_ffff) => number,
            _ => return Err(format!("{} is no field number in {}", key >> 3, self.place)),
        };
        let wire = match key & 7 {
            0 => Wire::Varint(varint(&mut self.rest, self.place)?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.array(number)?)),
            2 => {
                let length = varint(&mut self.rest, self.place)?;
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.cut_off(number))?;
                self.rest = rest;
                Wire::Bytes(bytes)
            }
            5 => {
                let _: [u8; 4] = self.array(number)?;
                Wire::Fixed32
            }
            other => return Err(format!("wire type {other} of field {number} in {} is not supported", self.place)),
        };
        Ok((number, wire))
    }

    pub(super) fn array<const N: usize>(&mut self, number: u32) -> Result<[u8; N], String> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| self.cut_off(number))?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(super) fn cut_off(&self, number: u32) -> String {
        format!("field {number} in {} is cut off", self.place)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Wire<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let item = self.field();
        if item.is_err() {
            self.rest = &[];
        }
        Some(item)
    }
}

pub(super) fn varint(rest: &mut &[u8], place: &str) -> Result<u64, String> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or_else(|| format!("a varint in {place} is cut off"))?;
        *rest = after;
        if shift == 63 && byte > 1 {
            break;
        }
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(format!("a varint in {place} has more than 64 bits"))
}

pub(super) fn unknown_field(number: u32, place: &str) -> String {
    format!("unknown field {number} in {place}")
}
