"""Rules of alternatives, iterations and purposes: what each setting allows alone but not together. It must never change a setting."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from config.alternatives import PICTURES, TEXTS, Alternative, Elsewhere, Memory, Picture, Template
from config.explain import closest
from config.listed import is_name
from config.policies import Instead, Policy
from config.problem import Finding, KeyPath
from config.read_memory import read_memory
from config.settings import Settings
from config.tag_rules import NAME_RULE, VALUE_RULE, is_tag_name, is_tag_value
from config.template_text import read_template
from config.text_file import read_text
