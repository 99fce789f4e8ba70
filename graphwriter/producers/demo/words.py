"""Made-up names and texts in several scripts, for the demo."""

from __future__ import annotations

from random import Random
from typing import NamedTuple


class _Script(NamedTuple):
    words: list[str]  # of texts
    first: list[str]  # and second word of the name of a chat
    second: list[str]


_SCRIPTS = tuple(
    _Script(*(column.split() for column in columns))
    for columns in (
        (
            (
                "the harbour opens early today and fresh bread waits on every table while gulls "
                "argue about fish a new bridge joins both banks rain is due after noon"
            ),
            "Harbour Morning Northern Quiet Paper Copper Little Open",
            "Gazette Kitchen Observatory Radio Library Garden Workshop Letter",
        ),
        (
            (
                "сегодня утром в саду расцвели яблони соседи пьют чай на веранде поезд из "
                "города снова опоздал на десять минут завтра обещают солнце и тёплый ветер"
            ),
            "Вечерний Тихий Зелёный Речной Старый Новый",
            "сад вестник телескоп маяк чайник архив",
        ),
        (
            "今天 早上 茶馆 开门 很早 朋友 带来 新书 下午 有雨 图书馆 安静 🍵",
            "晨间 江边 城南 星空",
            "茶馆 日报 书店 天文台",
        ),
        (
            "صباح الخير من السوق القديم اليوم نشرب القهوة ونقرأ كتابا جديدا عن النجوم ☕",
            "دار صوت نافذة حديقة",
            "النجوم المدينة القهوة الكتب",
        ),
        (
            "σήμερα το πρωί η θάλασσα είναι ήρεμη και στον φούρνο μυρίζει ψωμί 🐟",
            "Μικρό Παλιό Γαλάζιο",
            "λιμάνι βιβλίο περιβόλι",
        ),
        (
            "आज सुबह बगीचे में फूल खिले और सब ने चाय पी नई किताब मेज़ पर है",
            "नया पुराना हरा",
            "बगीचा अख़बार पुस्तकालय",
        ),
    )
)
_GIVEN = "Ada Jonas Mira Олег Ольга 小明 丽 ليلى كريم Ελένη Νίκος मीरा Priya Tomás Zoë Yusuf"
_FAMILY = "Lind Okafor Marsh Соколова 王 حداد Παππάς शर्मा Ferreira Novák Ito Ek"
_PERSON = (tuple(_GIVEN.split()), tuple(_FAMILY.split()))

SCRIPTS = len(_SCRIPTS)


def text(random: Random, script: int) -> str:
    """Return a short text in the script of that number."""
    return " ".join(random.choices(_SCRIPTS[script].words, k=3 + int(random.random() * 12)))


def title(random: Random, script: int) -> str:
    """Return the name of a chat, which may come up more than once, as names do."""
    return f"{random.choice(_SCRIPTS[script].first)} {random.choice(_SCRIPTS[script].second)}"


def person(random: Random) -> str:
    """Return the name of a person, scripts mixed."""
    return f"{random.choice(_PERSON[0])} {random.choice(_PERSON[1])}"
