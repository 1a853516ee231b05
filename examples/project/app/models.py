"""Models of the bookshop. pii-guard reads them and imports nothing."""

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """All models."""


class Review(Base):
    """What a reader writes about a book."""

    __tablename__ = "reviews"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    reader_email: Mapped[str] = mapped_column(Text)
    stars: Mapped[int]
