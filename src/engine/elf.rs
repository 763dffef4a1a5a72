//! What the headers of an ELF file say about the files it needs. Nothing is executed.
//!
//! Source: System V ABI, "Object Files" and "Dynamic Linking".

use std::fs::File;

use object::elf;
use object::endian::Endianness;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::read::{ReadCache, ReadRef};

/// The architecture a file is made for; only files of one architecture can be linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Machine {
    /// True for 64-bit files.
    pub wide: bool,
    /// ELF's number of the processor.
    pub machine: u16,
}

/// One file's needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Elf {
    pub machine: Machine,
    pub interpreter: Option<Vec<u8>>,
    pub needed: Vec<Vec<u8>>,
    /// DT_RPATH and DT_RUNPATH, as they stand in the file.
    pub rpath: Option<Vec<u8>>,
    pub runpath: Option<Vec<u8>>,
}

/// Reads a file that begins as ELF files do.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(file: File) -> Result<Elf, String> {
    let cache = ReadCache::new(file);
    let class = (&cache).read_bytes_at(4, 1).map_err(|()| "it is cut off")?;
    let result = match class {
        [1] => parse::<elf::FileHeader32<Endianness>, _>(&cache),
        [2] => parse::<elf::FileHeader64<Endianness>, _>(&cache),
        _ => return Err("it is neither 32-bit nor 64-bit".into()),
    };
    result.map_err(|e| e.to_string().to_lowercase())
}

fn parse<'data, H, R>(data: R) -> object::read::Result<Elf>
where
    H: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let header = H::parse(data)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, data)?;
    let machine = Machine { wide: header.is_class_64(), machine: header.e_machine(endian).0 };
    let mut found = Elf { machine, interpreter: None, needed: Vec::new(), rpath: None, runpath: None };
    let mut dynamic = None;
    for segment in segments {
        if let Some(path) = segment.interpreter(endian, data)? {
            found.interpreter = Some(path.to_vec());
        }
        if let Some(table) = segment.dynamic(endian, data)? {
            dynamic = Some(table);
        }
    }
    let Some(dynamic) = dynamic else { return Ok(found) };
    let entries = || {
        let tagged = dynamic.iter().map(|entry| (entry.tag(endian), entry.val(endian)));
        tagged.take_while(|(tag, _)| *tag != elf::DT_NULL)
    };
    let value = |wanted| entries().find(|(tag, _)| *tag == wanted).map(|(_, value)| value);
    let (Some(address), Some(size)) = (value(elf::DT_STRTAB), value(elf::DT_STRSZ)) else { return Ok(found) };
    let mut strings: &[u8] = &[];
    for segment in segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_LOAD) {
        if let Ok(Some(table)) = segment.data_range(endian, data, address, size) {
            strings = table;
        }
    }
    let text = |offset: u64| {
        let rest = usize::try_from(offset).ok().and_then(|offset| strings.get(offset..))?;
        Some(rest.split(|byte| *byte == 0).next()?.to_vec())
    };
    for (tag, offset) in entries() {
        match tag {
            elf::DT_NEEDED => found.needed.extend(text(offset)),
            elf::DT_RPATH => found.rpath = text(offset),
            elf::DT_RUNPATH => found.runpath = text(offset),
            _ => {}
        }
    }
    Ok(found)
}

impl Machine {
    /// The folder name Debian has for the architecture's libraries.
    pub fn multiarch(self) -> Option<&'static str> {
        let name = match (elf::Machine(self.machine), self.wide) {
            (elf::EM_X86_64, true) => "x86_64-linux-gnu",
            (elf::EM_X86_64, false) => "x86_64-linux-gnux32",
            (elf::EM_386, _) => "i386-linux-gnu",
            (elf::EM_AARCH64, _) => "aarch64-linux-gnu",
            (elf::EM_ARM, _) => "arm-linux-gnueabihf",
            (elf::EM_RISCV, true) => "riscv64-linux-gnu",
            (elf::EM_PPC64, _) => "powerpc64le-linux-gnu",
            (elf::EM_S390, true) => "s390x-linux-gnu",
            _ => return None,
        };
        Some(name)
    }
}
