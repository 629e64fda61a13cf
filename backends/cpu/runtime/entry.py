"""The compiled way from Python's objects into a program: addresses, checks, numbers, and the run.

    entry()(arrays, form, table, scalars, workspace, numbers, team)

does in a microsecond what a call needs around its program: it looks whether every array lies as the program
expects, puts addresses and strides into the table and numbers into the scalar buffer, looks whether memory
that the program overwrites is any other array's, and runs the stages. What a program is, is in its `form`, an
array of int64 (see `Field`).
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Sequence
from typing import Any

import numpy

from ...ir.attributes import Layout
from .python_objects import ALIGNED, CONTIGUOUS, DATA, FLAGS, ITEMS, SHAPE, STRIDES, WRITEABLE, function
from .threads import TEXT as RUN

# Answers of `entry`: the program ran, or it did not because an array shares memory with one that it
# overwrites. Any other answer is 1 more than the number of the last array that does not lie as expected.
RAN, SHARED = 0, -1


class Field(enum.IntEnum):
    """Where things stand in a form. Lists have a number of records, and the position of the first one."""

    ADDRESS = 0  # of the program
    STAGES = 1  # 2 words: (stage, workers, whether they may run in parallel)
    FIRST_ARRAY = 3  # in the table
    ARRAYS = (
        4  # 2 words: (flags that it needs, layout, bytes of an element, position of its stride in the table)
    )
    SCRATCH = 6  # 2 words: (position in the table, bytes from the start of the workspace)
    SIZES = 8  # bytes of the elements of all arrays: a list of one word each
    WATCHED = 9  # 2 words: numbers of the arrays that are overwritten
    NUMBERS = 11  # 2 words: (slot, 1 for an integer and 0 for a float)
    UNLOCKED = 13  # 1 if other threads of Python's may run meanwhile
    LENGTH = 14


TEXT = f"""\
def enter(self, given, count):
    arrays = int64_at(int64_at(given[0] + {ITEMS})[0])
    form = int64_at(int64_at(given[1] + {DATA})[0])
    table = int64_at(int64_at(given[2] + {DATA})[0])
    scalars = int64_at(given[3] + {DATA})[0]
    workspace = int64_at(given[4] + {DATA})[0]
    numbers = int64_at(int64_at(given[5] + {ITEMS})[0])
    team = PyLong_AsLongLong(given[6])
    answer = place(arrays, form, table)
    if answer == {RAN}:
        answer = shared(arrays, form, table)
    if answer == {RAN}:
        take_numbers(numbers, form, float64_at(scalars), int64_at(scalars))
        if PyErr_Occurred() != 0:
            answer = -2
    if answer == {RAN}:
        scratch = offset(form, form[{Field.SCRATCH + 1}])
        for i in range(form[{Field.SCRATCH}]):
            table[scratch[2 * i]] = (workspace + 63) // 64 * 64 + scratch[2 * i + 1]
        stages = offset(form, form[{Field.STAGES + 1}])
        if form[{Field.UNLOCKED}] != 0:
            thread = PyEval_SaveThread()
            run(form[{Field.ADDRESS}], stages, form[{Field.STAGES}], table, float64_at(scalars), team)
            PyEval_RestoreThread(thread)
        else:
            run(form[{Field.ADDRESS}], stages, form[{Field.STAGES}], table, float64_at(scalars), team)
    result = 0
    if answer != -2:
        result = PyLong_FromLongLong(answer)
    return result


def place(arrays, form, table):
    first = form[{Field.FIRST_ARRAY}]
    wanted = offset(form, form[{Field.ARRAYS + 1}])
    answer = 0
    for i in range(form[{Field.ARRAYS}]):
        array = arrays[i]
        flags = int64(int32_at(array + {FLAGS})[0])
        needed = wanted[4 * i]
        lies = flags & needed == needed
        layout = wanted[4 * i + 1]
        if layout != 0:
            shape = int64_at(int64_at(array + {SHAPE})[0])
            strides = int64_at(int64_at(array + {STRIDES})[0])
            itemsize = wanted[4 * i + 2]
            along = 2 - layout
            stride = strides[1 - along]
            lies = lies & (strides[along] == itemsize) & (stride >= itemsize * shape[along])
            lies = lies & (stride % itemsize == 0)
            table[wanted[4 * i + 3]] = stride // itemsize
        table[first + i] = int64_at(array + {DATA})[0]
        answer = i + 1 if not lies else answer
    return answer


def shared(arrays, form, table):
    first = form[{Field.FIRST_ARRAY}]
    wanted = offset(form, form[{Field.ARRAYS + 1}])
    sizes = offset(form, form[{Field.SIZES}])
    watched = offset(form, form[{Field.WATCHED + 1}])
    answer = 0
    for i in range(form[{Field.WATCHED}]):
        start = table[first + watched[i]]
        end = start + sizes[watched[i]]
        for other in range(form[{Field.ARRAYS}]):
            address = table[first + other]
            reach = sizes[other]
            if wanted[4 * other + 1] != 0:
                reach = reach_of(arrays[other], wanted[4 * other + 1], wanted[4 * other + 2])
            meets = (other != watched[i]) & (address < end) & (start < address + reach)
            answer = {SHARED} if meets else answer
    return answer


def reach_of(array, layout, itemsize):
    shape = int64_at(int64_at(array + {SHAPE})[0])
    strides = int64_at(int64_at(array + {STRIDES})[0])
    along = 2 - layout
    return (shape[1 - along] - 1) * strides[1 - along] + shape[along] * itemsize


def take_numbers(numbers, form, scalars, integers):
    slots = offset(form, form[{Field.NUMBERS + 1}])
    for i in range(form[{Field.NUMBERS}]):
        if slots[2 * i + 1] != 0:
            integers[slots[2 * i]] = PyLong_AsLongLong(numbers[i])
        else:
            scalars[slots[2 * i]] = PyFloat_AsDouble(numbers[i])


"""


@functools.cache
def entry() -> Any:
    """The compiled function, as a function of Python's."""
    return function(TEXT + RUN, "enter")


def require_compiler() -> None:
    """Raise LLVM's error if it cannot compile here, by compiling what every program needs."""
    entry()


class ArrayForm:
    """How the program wants one of its arrays.

    nbytes: of all its elements, without the gaps
    stride: position of its stride in the table, for layouts that have one
    """

    def __init__(self, itemsize: int, nbytes: int, layout: Layout, stride: int, *, overwritten: bool) -> None:
        contiguous = CONTIGUOUS if layout is Layout.CONTIGUOUS else 0
        needed = contiguous | ALIGNED | (WRITEABLE if overwritten else 0)
        self.words = [needed, layout.value, itemsize, stride]
        self.nbytes = nbytes


def form(
    address: int,
    stages: Sequence[tuple[int, int, int]],
    first: int,
    arrays: Sequence[ArrayForm],
    scratch: Sequence[tuple[int, int]],
    watched: Sequence[int],
    numbers: Sequence[tuple[int, bool]],
    *,
    unlocked: bool,
) -> Any:
    """The words that `entry` needs; see Field."""
    words = [0] * Field.LENGTH
    words[Field.ADDRESS], words[Field.FIRST_ARRAY], words[Field.UNLOCKED] = address, first, int(unlocked)

    def records(field: Field, rows: Sequence[Sequence[int]]) -> None:
        words[field : field + 2] = len(rows), len(words)
        words.extend(int(word) for row in rows for word in row)

    records(Field.STAGES, stages)
    records(Field.ARRAYS, [array.words for array in arrays])
    records(Field.SCRATCH, scratch)
    records(Field.WATCHED, [[number] for number in watched])
    records(Field.NUMBERS, numbers)
    words[Field.SIZES] = len(words)
    words += [array.nbytes for array in arrays]
    return numpy.array(words, numpy.int64)
