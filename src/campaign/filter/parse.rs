//! Reads a filter: a parser by descent, whose depth and length are bounded.

use super::pattern::{Pattern, is_reserved};
use super::{Comparison, Expression, Filter, FilterFault, FilterField, Operator, truth};
use crate::model::CoverageTier;

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// Where it is none, with the place and what was expected there.
    pub fn parse(text: &str) -> Result<Self, FilterFault> {
        if text.len() > Self::TEXT_BYTES_MAX {
            let fault = format!("a filter has at most {} bytes", Self::TEXT_BYTES_MAX);
            return Err(FilterFault { position: 1, fault });
        }
        let mut parser = Parser {
            text,
            at: 0,
            depth: 0,
        };
        let root = parser.any()?;
        parser.skip_spaces();
        if parser.at < text.len() {
            return Err(parser.fault("expected ;, a comma, or the end"));
        }
        Ok(Self { root })
    }
}

struct Parser<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Expression, FilterFault> {
        let mut parts = vec![self.all()?];
        while self.joined_by(',', "or") {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Expression::Any))
    }

    fn all(&mut self) -> Result<Expression, FilterFault> {
        let mut parts = vec![self.term()?];
        while self.joined_by(';', "and") {
            parts.push(self.term()?);
        }
        Ok(one_or(parts, Expression::All))
    }

    fn term(&mut self) -> Result<Expression, FilterFault> {
        self.skip_spaces();
        if self.peek() != Some('(') {
            return Ok(Expression::Compare(self.comparison()?));
        }
        if self.depth == Filter::DEPTH_MAX {
            let depth_max = Filter::DEPTH_MAX;
            return Err(self.fault(&format!("more than {depth_max} parentheses in each other")));
        }
        self.at += 1;
        self.depth += 1;
        let inner = self.any()?;
        self.depth -= 1;
        self.skip_spaces();
        self.expect(')', "expected ;, a comma, or )")?;
        Ok(inner)
    }

    fn comparison(&mut self) -> Result<Comparison, FilterFault> {
        let field = self.field()?;
        self.skip_spaces();
        let operator = self.operator()?;
        self.skip_spaces();
        let is_list = operator.takes_list() && self.peek() == Some('(');
        if !is_list {
            let values = vec![self.value(field)?];
            return Ok(Comparison {
                field,
                operator,
                values,
            });
        }
        self.at += 1;
        let mut values = Vec::new();
        loop {
            self.skip_spaces();
            values.push(self.value(field)?);
            self.skip_spaces();
            if self.peek() != Some(',') {
                break;
            }
            self.at += 1;
        }
        self.expect(')', "expected a comma or ) behind a value")?;
        Ok(Comparison {
            field,
            operator,
            values,
        })
    }

    fn field(&mut self) -> Result<FilterField, FilterFault> {
        let rest = &self.text[self.at..];
        let is_of_name = |it: char| it.is_ascii_alphanumeric() || it == '_';
        let name = rest.split(|it| !is_of_name(it)).next().unwrap_or_default();
        let found = FilterField::ALL.into_iter().find(|it| it.word() == name);
        let Some(field) = found else {
            let words = FilterField::ALL.map(FilterField::word).join(", ");
            return Err(self.fault(&format!("expected one of {words}")));
        };
        self.at += name.len();
        Ok(field)
    }

    fn operator(&mut self) -> Result<Operator, FilterFault> {
        let rest = &self.text[self.at..];
        let mut operators = Operator::ALL.into_iter();
        let Some(operator) = operators.find(|it| rest.starts_with(it.word())) else {
            return Err(self.fault("expected ==, !=, =in= or =out="));
        };
        self.at += operator.word().len();
        Ok(operator)
    }

    fn value(&mut self, field: FilterField) -> Result<Pattern, FilterFault> {
        let begun = self.at;
        let pattern = match self.peek() {
            Some(mark @ ('"' | '\'')) => self.quoted(mark)?,
            Some(_) | None => self.unquoted()?,
        };
        of_field(field, pattern).map_err(|fault| {
            self.at = begun;
            self.fault(&fault)
        })
    }

    fn unquoted(&mut self) -> Result<Pattern, FilterFault> {
        let rest = &self.text[self.at..];
        let value = rest.split(is_reserved).next().unwrap_or_default();
        if value.is_empty() {
            return Err(
                self.fault("expected a value; in quotation marks where it has spaces or signs")
            );
        }
        self.at += value.len();
        Ok(Pattern::new(value.split('*').map(str::to_owned).collect()))
    }

    fn quoted(&mut self, mark: char) -> Result<Pattern, FilterFault> {
        let begun = self.at;
        self.at += 1;
        let mut literals = Vec::new();
        let mut literal = String::new();
        while let Some(character) = self.next() {
            match character {
                '*' => literals.push(std::mem::take(&mut literal)),
                // What follows stands for itself.
                '\\' => literal.extend(self.next()),
                it if it == mark => {
                    literals.push(literal);
                    return Ok(Pattern::new(literals));
                }
                it => literal.push(it),
            }
        }
        self.at = begun;
        Err(self.fault("the quotation marks are not closed"))
    }

    /// Whether two conditions are joined here by a sign, or by a word between spaces.
    fn joined_by(&mut self, sign: char, word: &str) -> bool {
        let begun = self.at;
        self.skip_spaces();
        if self.peek() == Some(sign) {
            self.at += sign.len_utf8();
            return true;
        }
        let spaces = self.at > begun;
        let rest = &self.text[self.at..];
        let behind = rest.strip_prefix(word).unwrap_or_default();
        if spaces && behind.starts_with(|it: char| it.is_whitespace() || it == '(') {
            self.at += word.len();
            return true;
        }
        self.at = begun;
        false
    }

    fn expect(&mut self, sign: char, otherwise: &str) -> Result<(), FilterFault> {
        if self.peek() != Some(sign) {
            return Err(self.fault(otherwise));
        }
        self.at += sign.len_utf8();
        Ok(())
    }

    fn skip_spaces(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    fn fault(&self, fault: &str) -> FilterFault {
        FilterFault {
            position: self.text[..self.at].chars().count() + 1,
            fault: fault.to_owned(),
        }
    }
}

fn one_or(mut parts: Vec<Expression>, many: fn(Vec<Expression>) -> Expression) -> Expression {
    if parts.len() == 1
        && let Some(only) = parts.pop()
    {
        return only;
    }
    many(parts)
}

/// Refuses what the field can never be: it would find nothing, without a word.
fn of_field(field: FilterField, pattern: Pattern) -> Result<Pattern, String> {
    let Some(text) = pattern.exact() else {
        return Ok(pattern);
    };
    match field {
        FilterField::Registered => {
            if text == truth(true) || text == truth(false) {
                return Ok(pattern);
            }
            Err("registered is true or false".to_owned())
        }
        FilterField::Tier => {
            let words: Vec<_> = CoverageTier::ALL.iter().map(|tier| tier.word()).collect();
            if words.contains(&text) {
                return Ok(pattern);
            }
            Err(format!("tier is one of {}", words.join(", ")))
        }
        FilterField::CellId => {
            let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
            let id = match digits {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => text.parse(),
            };
            match id {
                Ok(id) => Ok(Pattern::new(vec![id.to_string()])),
                Err(_) => Err("cell_id is a whole number, or 0x and hexadecimal digits".to_owned()),
            }
        }
        FilterField::Endpoint
        | FilterField::Manufacturer
        | FilterField::Model
        | FilterField::DeviceType
        | FilterField::Tags
        | FilterField::FirmwareVersion => Ok(pattern),
    }
}
