"""The page that shows a plan: its elements, and the style and script that stand in it."""
