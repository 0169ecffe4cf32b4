"""Every measure, declared once; `tables`, reports and ``docs/measures.md`` are made from the declarations."""
