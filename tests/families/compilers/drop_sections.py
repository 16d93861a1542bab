"""Takes the section headers out of an ELF file: what is left is what the kernel reads. usage: drop_sections.py FILE"""
import struct
import sys

data = bytearray(open(sys.argv[1], "rb").read())
(offset,) = struct.unpack_from("<Q", data, 0x28)
struct.pack_into("<Q", data, 0x28, 0)
struct.pack_into("<HHH", data, 0x3A, 0, 0, 0)  # size of an entry, number of entries, index of the names
open(sys.argv[1], "wb").write(data[:offset])
