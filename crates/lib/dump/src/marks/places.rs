//! Where rows have their keys.

use super::WIDTH;

/// Where the columns of a primary key are in each row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct KeyPlaces {
    places: [usize; WIDTH],
    width: usize,
}

impl KeyPlaces {
    /// The places of these columns; none where one of them is not known, or where they are too many.
    pub(crate) fn of(key: &[String], place: impl Fn(&str) -> Option<usize>) -> Self {
        let mut places = Self::default();
        if key.len() > WIDTH {
            return places;
        }
        for (at, name) in places.places.iter_mut().zip(key) {
            match place(name) {
                Some(place) => *at = place,
                None => return Self::default(),
            }
        }
        places.width = key.len();
        places
    }

    /// Number of columns; 0 where there is no key that can be read.
    pub(crate) const fn width(&self) -> usize {
        self.width
    }

    /// The place of each column.
    #[cfg(test)]
    pub(crate) fn places(&self) -> &[usize] {
        &self.places[..self.width]
    }

    /// The place behind the last of them.
    pub(crate) fn behind(&self) -> usize {
        let places = self.places[..self.width].iter();
        places.max().map_or(0, |last| last + 1)
    }

    /// Which column of the key is at this place.
    #[inline]
    pub(crate) fn column_at(&self, place: usize) -> Option<usize> {
        self.places[..self.width].iter().position(|at| *at == place)
    }
}
