"""Skip-gram word vectors (E1–E6), written with Tensors: no gradient here is made by hand."""

from .corpus import Corpus as Corpus, Vocabulary as Vocabulary
from .documentation import documentation as documentation
from .files import FormatError as FormatError
from .model import SkipGram as SkipGram
from .vectors import WordVectors as WordVectors
